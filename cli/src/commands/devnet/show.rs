//! What the devnet shows: bars on a terminal, lines elsewhere, JSON for programs, and the summary.

use std::{io, sync::atomic::Ordering, time::Duration};

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressStyle};
use peerage::{Event, NodeInfo};
use serde_json::json;

use super::{demo::Live, mesh::Mesh};
use crate::{
    event,
    output::{self, Fields},
};

/// The display of one devnet.
pub(super) struct Show {
    json: bool,
    /// No terminal: lines instead of bars.
    plain: bool,
    found: ProgressBar,
    connections: ProgressBar,
    messages: ProgressBar,
    found_shown: bool,
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
        let found = bar(wanted / 2, "pairs found");
        let connections = bar(wanted / 2, "connections");
        let messages = bar(wanted * messages, "messages");
        Self {
            json,
            plain: connections.is_hidden() && !json,
            found,
            connections,
            messages,
            found_shown: false,
            full_shown: false,
        }
    }

    /// The boot node has started.
    pub(super) fn boot_node(&self, info: &NodeInfo) -> io::Result<()> {
        if !self.json {
            return Ok(());
        }
        output::json_line(&json!({
            "event": "boot_node",
            "id": info.id.to_string(),
            "enode": info.enode,
            "discovery": info.discovery.map(|address| address.to_string()),
        }))
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
            "discovery": info.discovery.map(|address| address.to_string()),
        }))
    }

    /// A server reports something, which `mesh` knows already.
    pub(super) fn event(&mut self, node: usize, event: &Event, mesh: &Mesh) -> io::Result<()> {
        if self.json
            && let Some(mut value) = event::to_json(event)
        {
            value["node"] = node.into();
            output::json_line(&value)?;
        }
        if let Some(after) = mesh.found_after().filter(|_| !self.found_shown) {
            self.found_shown = true;
            self.milestone("found", "all had found each other", after)?;
        }
        if let Some(after) = mesh.full_after().filter(|_| !self.full_shown) {
            self.full_shown = true;
            self.milestone("mesh", "full mesh", after)?;
        }
        Ok(())
    }

    fn milestone(&self, event: &str, line: &str, after: Duration) -> io::Result<()> {
        if self.json {
            output::json_line(&json!({ "event": event, "ms": millis(after) }))
        } else if self.plain {
            output::text(&format!("{line} after {}\n", seconds(after)))
        } else {
            Ok(())
        }
    }

    /// Draws the bars anew.
    pub(super) fn draw(&self, mesh: &Mesh, live: &Live) {
        self.found.set_position(mesh.found() as u64);
        self.connections.set_position(mesh.connected() as u64 / 2);
        self.messages.set_position(live.messages.load(Ordering::Relaxed));
    }

    /// Takes the bars away.
    pub(super) fn clear(&self) {
        self.found.finish_and_clear();
        self.connections.finish_and_clear();
        self.messages.finish_and_clear();
    }

    /// What was done, once all of it was.
    pub(super) fn summary(&self, mesh: &Mesh, peers: &[usize], took: Duration) -> io::Result<()> {
        let (messages, bytes) = mesh.totals();
        let found_after = mesh.found_after().unwrap_or(took);
        let full_after = mesh.full_after().unwrap_or(took);
        if self.json {
            return output::json_line(&json!({
                "event": "summary",
                "nodes": peers.len(),
                "connections": mesh.wanted() / 2,
                "found_ms": millis(found_after),
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
            .add("time to find all", seconds(found_after))
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
