//! What `peerage run` tells: an event per line, for programs or for people, and a status line.

use std::{
    io::{self, Write},
    time::Instant,
};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use peerage::{Event, NodeId, PeerInfo, Record, Server, TableEntry};
use serde_json::{Value, json};

use super::table;
use crate::{echo::Echoed, output, reason};

/// Where events go.
pub(crate) struct Report {
    json: bool,
    progress: MultiProgress,
    status: ProgressBar,
    began: Instant,
    messages: u64,
    bytes: u64,
}

impl Report {
    /// Events go to standard output; for people, a status line is drawn in `progress`.
    pub(crate) fn new(json: bool, progress: MultiProgress) -> Self {
        let status =
            if json { ProgressBar::hidden() } else { progress.add(ProgressBar::new_spinner()) };
        status.set_style(
            ProgressStyle::with_template("{spinner} {msg}")
                .expect("because the template is a constant that was tried"),
        );
        Self { json, progress, status, began: Instant::now(), messages: 0, bytes: 0 }
    }

    /// The server runs.
    pub(crate) fn started(&self, server: &Server) -> io::Result<()> {
        let info = server.node_info();
        let listen = info.listen.map(|address| address.to_string());
        let discovery = info.discovery.map(|address| address.to_string());
        if self.json {
            return output::json_line(&json!({
                "event": "started",
                "id": info.id.to_string(),
                "name": info.name,
                "enode": info.enode,
                "enr": info.enr,
                "listen": listen,
                "discovery": discovery,
            }));
        }
        let mut fields = output::Fields::new();
        fields
            .add("id", info.id)
            .add("enode", info.enode)
            .add("enr", info.enr)
            .add("listen", listen.as_deref().unwrap_or("nowhere"))
            .add("discovery", discovery.as_deref().unwrap_or("off"));
        self.text(&fields.render(""))
    }

    /// Something happened to a peer.
    pub(crate) fn event(&self, event: &Event) -> io::Result<()> {
        if self.json {
            return match event_json(event) {
                Some(value) => output::json_line(&value),
                None => Ok(()),
            };
        }
        match event_text(event) {
            Some(line) => self.text(&line),
            None => Ok(()),
        }
    }

    /// Somebody wants to see the discovery table; `None` where there is none.
    pub(crate) fn table(&self, table: Option<&[TableEntry]>) -> io::Result<()> {
        if self.json {
            return output::json_line(&table::to_json(table));
        }
        // Not between the events: who reads those did not ask.
        self.progress.suspend(|| io::stderr().write_all(table::to_text(table).as_bytes()))
    }

    /// A message was echoed.
    pub(crate) fn echoed(&mut self, echoed: &Echoed) -> io::Result<()> {
        self.messages += 1;
        self.bytes += echoed.size as u64;
        if !self.json {
            return Ok(());
        }
        output::json_line(&json!({
            "event": "message",
            "id": echoed.id.to_string(),
            "protocol": echoed.spec.to_string(),
            "code": echoed.code,
            "size": echoed.size,
        }))
    }

    /// Draws the status line anew.
    pub(crate) fn tick(&self, server: &Server) {
        if self.status.is_hidden() {
            return;
        }
        let peers = server.peers();
        let inbound = peers.iter().filter(|peer| peer.inbound).count();
        let up = HumanDuration(self.began.elapsed());
        self.status.set_message(format!(
            "peers {} ({inbound} inbound, {} dialed) · messages echoed {} ({}) · up {up}",
            peers.len(),
            peers.len() - inbound,
            self.messages,
            output::human_bytes(self.bytes),
        ));
        self.status.tick();
    }

    /// A signal came.
    pub(crate) fn stopping(&self) {
        self.status.set_message("stopping: saying goodbye to every peer (again to stop at once)");
    }

    /// The server has stopped, and everybody knows.
    pub(crate) fn stopped(&self) -> io::Result<()> {
        self.status.finish_and_clear();
        if self.json {
            return output::json_line(&json!({ "event": "stopped" }));
        }
        self.text("stopped\n")
    }

    fn text(&self, text: &str) -> io::Result<()> {
        self.progress.suspend(|| output::text(text))
    }
}

/// The event for programs; `None` for those that concern nobody outside.
pub(crate) fn event_json(event: &Event) -> Option<Value> {
    let value = match event {
        Event::PeerAdded { peer } => json!({
            "event": "peer_added",
            "id": peer.id.to_string(),
            "client": peer.client,
            "caps": texts(&peer.capabilities),
            "shared": texts(&peer.shared),
            "inbound": peer.inbound,
            "remote": remote(peer),
        }),
        Event::PeerDropped { id, fault, duration, .. } => json!({
            "event": "peer_dropped",
            "id": id.to_string(),
            "reason": reason::name(fault.reason()),
            "reason_code": fault.reason().code(),
            "why": fault.to_string(),
            "by_us": fault.is_by_us(),
            "duration_ms": duration.as_millis() as u64,
        }),
        Event::DialFailed { id, why, retry_in } => json!({
            "event": "dial_failed",
            "id": id.to_string(),
            "why": why.to_string(),
            "retry_ms": retry_in.map(|wait| wait.as_millis() as u64),
        }),
        Event::LocalNodeChanged { node } => json!({
            "event": "local_node",
            "enode": node.enode_url(),
            "enr": node.record().map(ToString::to_string),
            "seq": node.record().map(Record::seq),
        }),
        Event::Lagged { missed } => json!({ "event": "lagged", "missed": missed }),
        _ => return None,
    };
    Some(value)
}

/// The event for people, a line.
fn event_text(event: &Event) -> Option<String> {
    let line = match event {
        Event::PeerAdded { peer } => format!(
            "+ {} {} {} {}, {}\n",
            short(&peer.id),
            if peer.inbound { "from" } else { "at" },
            remote(peer).unwrap_or_else(|| "a stream".into()),
            output::printable(&peer.client),
            texts(&peer.capabilities).join(" "),
        ),
        Event::PeerDropped { id, fault, duration, .. } => {
            format!("- {} {fault}, after {}\n", short(id), HumanDuration(*duration))
        }
        Event::DialFailed { id, why, retry_in } => {
            let again = match retry_in {
                Some(wait) => format!("; again in {}", HumanDuration(*wait)),
                None => String::new(),
            };
            format!("! {} {why}{again}\n", short(id))
        }
        Event::LocalNodeChanged { node } => format!("= we are now {}\n", node.enode_url()),
        Event::Lagged { missed } => format!("! {missed} events came too fast to be shown\n"),
        _ => return None,
    };
    Some(line)
}

fn remote(peer: &PeerInfo) -> Option<String> {
    peer.remote.map(|address| address.to_string())
}

fn texts(capabilities: &[peerage::Capability]) -> Vec<String> {
    capabilities.iter().map(ToString::to_string).collect()
}

/// Enough of an id to tell nodes apart on a screen.
pub(crate) fn short(id: &NodeId) -> String {
    hex::encode(&id.0[..4])
}
