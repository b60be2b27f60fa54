//! What `peerage run` tells: an event per line, for programs or for people, and a status line.

use std::{
    io::{self, Write},
    time::Instant,
};

use indicatif::{HumanDuration, MultiProgress, ProgressBar};
use peerage::{Event, Server, TableEntry};
use serde_json::json;

use super::table;
use crate::{
    echo::Echoed,
    event,
    output::{self, status_line},
};

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
        let status = status_line(json, &progress);
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
            return match event::to_json(event) {
                Some(value) => output::json_line(&value),
                None => Ok(()),
            };
        }
        match event::to_text(event) {
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
