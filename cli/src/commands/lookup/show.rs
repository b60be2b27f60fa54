//! What a lookup shows: its steps while it walks, and what it found.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar};
use peerage::{DiscoveryError, LookupResult, LookupStep, Node, NodeId, PongInfo};
use serde_json::json;

use crate::{
    output::{self, Fields, status_line},
    value::{millis, millis_text, short},
};

/// The display of one lookup.
pub(super) struct Show {
    json: bool,
    progress: MultiProgress,
    status: ProgressBar,
    asked: usize,
    answered: usize,
    told: usize,
}

impl Show {
    /// Events for programs; or, for people, steps on standard error and the result on standard
    /// output.
    pub(super) fn new(json: bool, progress: MultiProgress) -> Self {
        let status = status_line(json, &progress);
        Self { json, progress, status, asked: 0, answered: 0, told: 0 }
    }

    /// A boot node was pinged.
    pub(super) fn bootnode(
        &mut self,
        node: &Node,
        pong: Result<&PongInfo, DiscoveryError>,
    ) -> io::Result<()> {
        if self.json {
            return output::json_line(&json!({
                "event": "bootnode",
                "id": node.id().to_string(),
                "ok": pong.is_ok(),
                "round_trip_ms": pong.ok().map(|pong| millis(pong.round_trip)),
                "error": pong.err().map(|error| error.to_string()),
            }));
        }
        let id = short(&node.id());
        self.line(&match pong {
            Ok(pong) => {
                format!(
                    "boot node {id} at {} answers in {}\n",
                    pong.from,
                    millis_text(pong.round_trip)
                )
            }
            Err(error) => format!("boot node {id}: {error}\n"),
        })
    }

    /// A node was asked, and answered or did not.
    pub(super) fn step(&mut self, step: &LookupStep) -> io::Result<()> {
        self.asked += 1;
        self.answered += usize::from(step.found.is_some());
        self.told += step.found.unwrap_or(0);
        let endpoint = step.asked.udp_endpoints().first().map(ToString::to_string);
        if self.json {
            return output::json_line(&json!({
                "event": "step",
                "id": step.asked.id().to_string(),
                "endpoint": endpoint,
                "found": step.found,
            }));
        }
        let (asked, answered, told) = (self.asked, self.answered, self.told);
        self.status.set_message(format!("asked {asked}, {answered} answered, told of {told}"));
        self.status.tick();
        let answer = match step.found {
            Some(found) => format!("told of {found}"),
            None => "did not answer".into(),
        };
        let endpoint = endpoint.unwrap_or_default();
        self.line(&format!("{asked:3}  {}  {endpoint}  {answer}\n", short(&step.asked.id())))
    }

    /// Takes the status line away.
    pub(super) fn clear(&self) {
        self.status.finish_and_clear();
    }

    /// The end; `sought` is the node that was looked for, if it was one.
    pub(super) fn result(
        &self,
        sought: Option<&NodeId>,
        result: &LookupResult,
        took: Duration,
    ) -> io::Result<()> {
        let found = sought.map(|id| result.closest.iter().find(|node| node.id() == *id));
        if self.json {
            let node = |node: &Node| {
                json!({
                    "id": node.id().to_string(),
                    "distance": sought.map(|id| id.log_distance(&node.id())),
                    "enode": node.enode_url(),
                    "enr": node.record().map(ToString::to_string),
                })
            };
            return output::json_line(&json!({
                "event": "result",
                "target": sought.map(ToString::to_string),
                "found": found.map(|node| node.is_some()),
                "closest": result.closest.iter().map(node).collect::<Vec<_>>(),
                "queries": result.queries,
                "packets": result.packets,
                "ms": millis(took),
            }));
        }
        let mut text = String::new();
        for node in &result.closest {
            match sought {
                Some(id) => {
                    text += &format!("{:3}  {}\n", id.log_distance(&node.id()), node.enode_url())
                }
                None => text += &format!("{}\n", node.enode_url()),
            }
        }
        let distinct: BTreeSet<_> = result.closest.iter().flat_map(Node::udp_endpoints).collect();
        let mut fields = Fields::new();
        if let Some(found) = found {
            let place = found.map_or_else(|| "not found".into(), Node::enode_url);
            fields.add("looked for", place);
        }
        fields
            .add(
                "closest",
                format!("{} nodes at {} addresses", result.closest.len(), distinct.len()),
            )
            .add("asked", format!("{} nodes, of which {} answered", self.asked, self.answered))
            .add("datagrams", result.packets)
            .add("time", millis_text(took));
        output::text(&(text + &fields.render("")))
    }

    /// Not on standard output, which is for what was found.
    fn line(&self, text: &str) -> io::Result<()> {
        self.progress.suspend(|| io::stderr().write_all(text.as_bytes()))
    }
}
