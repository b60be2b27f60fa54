//! What the devnet shows: bars on a terminal, lines elsewhere, JSON for programs, and the summary.

use std::{io, sync::atomic::Ordering, time::Duration};

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressStyle};
use peerage::{Event, NodeInfo};
use serde_json::json;

use super::{demo::Live, mesh::Mesh};
use crate::{
    commands::run::report,
    output::{self, Fields},
};

/// The display of one devnet.
pub(super) struct Show {
    json: bool,
    /// No terminal: lines instead of bars.
    plain: bool,
    connections: ProgressBar,
    messages: ProgressBar,
    full_shown: bool,
}

impl Show {
    /// Bars for `mesh`, each pair of which exchanges `messages` each way.
    pub(super) fn new(json: bool, progress: &MultiProgress, mesh: &Mesh, messages: u64) -> Self {
        let wanted = mesh.wanted() as u64;
        let bar = |length: u64, name: &'static str| {
            if json {
                return ProgressBar::hidden();
            }
            let style =
                ProgressStyle::with_template("{prefix:12} [{bar:40}] {human_pos}/{human_len}")
                    .expect("because the template is a constant that was tried")
                    .progress_chars("=> ");
            progress.add(ProgressBar::new(length).with_style(style).with_prefix(name))
        };
        let connections = bar(wanted / 2, "connections");
        let messages = bar(wanted * messages, "messages");
        Self {
            json,
            plain: connections.is_hidden() && !json,
            connections,
            messages,
            full_shown: false,
        }
    }

    /// A server has started.
    pub(super) fn node(&self, node: usize, info: &NodeInfo) -> io::Result<()> {
        if !self.json {
            return Ok(());
        }
        output::json_line(&json!({
            "event": "node",
            "node": node,
            "id": info.id.to_string(),
            "enode": info.enode,
            "listen": info.listen.map(|address| address.to_string()),
        }))
    }

    /// A server reports something, which `mesh` knows already.
    pub(super) fn event(&mut self, node: usize, event: &Event, mesh: &Mesh) -> io::Result<()> {
        if self.json
            && let Some(mut value) = report::event_json(event)
        {
            value["node"] = node.into();
            output::json_line(&value)?;
        }
        let Some(after) = mesh.full_after().filter(|_| !self.full_shown) else { return Ok(()) };
        self.full_shown = true;
        if self.json {
            output::json_line(&json!({ "event": "mesh", "ms": millis(after) }))?;
        } else if self.plain {
            output::text(&format!("full mesh after {}\n", seconds(after)))?;
        }
        Ok(())
    }

    /// Draws the bars anew.
    pub(super) fn draw(&self, mesh: &Mesh, live: &Live) {
        self.connections.set_position(mesh.connected() as u64 / 2);
        self.messages.set_position(live.messages.load(Ordering::Relaxed));
    }

    /// Takes the bars away.
    pub(super) fn clear(&self) {
        self.connections.finish_and_clear();
        self.messages.finish_and_clear();
    }

    /// What was done, once all of it was.
    pub(super) fn summary(&self, mesh: &Mesh, peers: &[usize], took: Duration) -> io::Result<()> {
        let (messages, bytes) = mesh.totals();
        let full_after = mesh.full_after().unwrap_or(took);
        if self.json {
            return output::json_line(&json!({
                "event": "summary",
                "nodes": peers.len(),
                "connections": mesh.wanted() / 2,
                "mesh_ms": millis(full_after),
                "total_ms": millis(took),
                "messages": messages,
                "bytes": bytes,
                "peers": peers,
            }));
        }
        let list = peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let mut fields = Fields::new();
        fields
            .add("nodes", peers.len())
            .add("connections", mesh.wanted() / 2)
            .add("peers per node", list)
            .add("time to full mesh", seconds(full_after))
            .add("messages", HumanCount(messages))
            .add("bytes", format!("{} ({})", HumanCount(bytes), output::human_bytes(bytes)))
            .add("time in all", seconds(took));
        output::text(&fields.render(""))
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}
