//! What [`V4`] sends of its own accord, and what follows if nobody answers.

use std::net::SocketAddr;

use peerage_machine::Now;
use peerage_node::{Node, NodeId, Record};

use super::{
    Output, V4,
    asks::{Ask, AskId, RecordFor, Request, Stage},
    bonds::Claimant,
    packet::{Endpoint, EnrRequest, FindNode, Packet, Ping, Token},
    pings::{PingPurpose, PingUnderWay},
};
use crate::{Added, Entry, StoreOp};

impl V4 {
    /// Where to ask `node`, if that is possible and allowed.
    pub(super) fn endpoint(&self, now: Now, node: &Node) -> Option<SocketAddr> {
        let endpoint = self.config.table.endpoint(node)?;
        self.is_allowed(now, Some(&node.id()), endpoint.ip()).then_some(endpoint)
    }

    /// Pings `claimant` at `to`, or waits for the ping that is under way.
    pub(super) fn ping(
        &mut self,
        now: Now,
        claimant: Claimant,
        to: SocketAddr,
        purpose: PingPurpose,
    ) {
        if self.pings.join(claimant, purpose) {
            return;
        }
        let token = self.send_ping(now, to);
        if let PingPurpose::Ask(id) = purpose {
            self.count_packet(id);
        }
        self.pings.add(now.mono, now.mono + self.config.reply_timeout, claimant, token, purpose);
    }

    /// Asks the stranger `node` for a proof, unless it is already asked.
    pub(super) fn ask_proof(&mut self, now: Now, claimant: Claimant, to: SocketAddr, node: Node) {
        if self.pings.is_stranger_asked(now.mono, claimant) {
            return;
        }
        let token = match self.pings.own_token(claimant) {
            Some(token) => token,
            None => self.send_ping(now, to),
        };
        self.pings.add_stranger(now.mono + self.config.reply_timeout, claimant, token, node);
    }

    fn send_ping(&mut self, now: Now, to: SocketAddr) -> Token {
        let (own, tcp) = self.own.stated_to(to.ip());
        self.send(
            to,
            &Packet::Ping(Ping {
                from: Endpoint::new(own, tcp),
                to: Endpoint::new(to, 0),
                expiration: self.expiration(now),
                seq: Some(self.own.current().seq()),
            }),
        )
    }

    /// No pong has come in time.
    pub(super) fn on_ping_timeout(&mut self, now: Now, claimant: Claimant, ping: PingUnderWay) {
        self.stats.timeouts += 1;
        for purpose in ping.purposes {
            match purpose {
                PingPurpose::Ask(id) => self.end_ask(now, id, Answer::None),
                PingPurpose::Check => self.on_check_failed(now, claimant.id),
                PingPurpose::Command(id) => self.outputs.push_back(Output::PingFailed { id }),
            }
        }
    }

    /// Asks `node`, after making us known to it if need be. Whether it can be asked at all; if so,
    /// the answer comes to [`end_ask`](Self::end_ask), and not before this returns.
    pub(super) fn ask(&mut self, now: Now, node: Node, request: Request) -> bool {
        let Some(to) = self.endpoint(now, &node) else { return false };
        let id = self.asks.add(Ask { node, to, request, stage: Stage::Bonding });
        let claimant = self.asks.get_mut(id).expect("because it was added above").claimant();
        let is_known = self.bonds.is_proved(now.mono, claimant);
        if is_known && self.bonds.may_know_us(now.mono, claimant) {
            self.send_ask(now, id);
        } else {
            self.ping(now, claimant, to, PingPurpose::Ask(id));
        }
        true
    }

    /// Sends a request to a node that should answer it, or lets it wait for its turn.
    pub(super) fn send_ask(&mut self, now: Now, id: AskId) {
        let expiration = self.expiration(now);
        let Some(ask) = self.asks.get_mut(id) else { return };
        let (claimant, to) = (ask.claimant(), ask.to);
        let packet = match ask.request {
            Request::Find { target, .. } => Packet::FindNode(FindNode { target, expiration }),
            Request::Record(_) => Packet::EnrRequest(EnrRequest { expiration }),
        };
        let is_find = matches!(packet, Packet::FindNode(_));
        let stage = if is_find && self.asks.sent_find(claimant).is_some() {
            Stage::Queued
        } else {
            let token = self.send(to, &packet);
            self.count_packet(id);
            let until = now.mono + self.config.reply_timeout;
            self.asks.set_due(id, until);
            Stage::Sent { token, until, told: None }
        };
        if let Some(ask) = self.asks.get_mut(id) {
            ask.stage = stage;
        }
    }

    /// The time that a request waits for something is over.
    pub(super) fn on_ask_due(&mut self, now: Now, id: AskId) {
        let Some(ask) = self.asks.get_mut(id) else { return };
        match &mut ask.stage {
            // It seems to know us already.
            Stage::Greeting => self.send_ask(now, id),
            Stage::Sent { told, .. } => {
                let answer = told.take().map_or(Answer::None, |(_, nodes)| Answer::Nodes(nodes));
                if matches!(answer, Answer::None) {
                    self.stats.timeouts += 1;
                }
                self.end_ask(now, id, answer);
            }
            Stage::Bonding | Stage::Queued => {}
        }
    }

    /// A request has its answer, or will not get one.
    pub(super) fn end_ask(&mut self, now: Now, id: AskId, answer: Answer) {
        let Some(ask) = self.asks.remove(id) else { return };
        let claimant = ask.claimant();
        if matches!(answer, Answer::None) {
            // Perhaps it has forgotten us, so the next request begins with a ping.
            self.bonds.doubt(claimant);
        }
        match ask.request {
            Request::Find { search, .. } => {
                let nodes = match answer {
                    Answer::Nodes(nodes) => Some(nodes),
                    Answer::None | Answer::Record(_) => None,
                };
                self.on_query(now, claimant, nodes.is_some());
                self.on_found(now, search, ask.node, nodes);
                if let Some(next) = self.asks.queued_find(claimant) {
                    self.send_ask(now, next);
                }
            }
            Request::Record(wanted) => {
                let record = match answer {
                    Answer::Record(record) => Some(record),
                    Answer::None | Answer::Nodes(_) => None,
                };
                self.on_record(now, wanted, ask.node, record);
            }
        }
    }

    /// A query of a node was answered, or not: that counts for its place in the table.
    fn on_query(&mut self, now: Now, claimant: Claimant, is_answered: bool) {
        let failures = |v4: &Self| v4.table.get(&claimant.id).map_or(0, Entry::failures);
        let before = failures(self);
        let removed = self.table.on_query(now.mono, &claimant.id, is_answered);
        let count = removed.as_ref().map_or_else(|| failures(self), |it| it.entry.failures());
        if count != before {
            let op = StoreOp::Failures { id: claimant.id, ip: claimant.ip, count };
            self.outputs.push_back(Output::Store(op));
        }
        self.on_removed(now, removed);
    }

    /// A node gave its record, or not.
    fn on_record(&mut self, now: Now, wanted: RecordFor, asked: Node, record: Option<Record>) {
        match wanted {
            RecordFor::Command(id) => {
                self.update_record(now, record.as_ref());
                self.outputs.push_back(Output::Record { id, record });
            }
            RecordFor::Resolve { id, may_search } => {
                self.update_record(now, record.as_ref());
                self.on_resolve_record(now, id, may_search, asked, record);
            }
            RecordFor::Table => self.update_record(now, record.as_ref()),
        }
    }

    /// Tells the table of a record that came from its node.
    fn update_record(&mut self, now: Now, record: Option<&Record>) {
        let Some(record) = record else { return };
        let id = record.id();
        if self.table.on_record(now.mono, record.clone()) == Added::Updated {
            self.store_node(id);
        }
    }

    /// Has a node kept for the next run.
    pub(super) fn store_node(&mut self, id: NodeId) {
        if let Some(entry) = self.table.get(&id) {
            let op = StoreOp::Record(Box::new(entry.node().clone()));
            self.outputs.push_back(Output::Store(op));
        }
    }

    /// Sends a packet; its hash.
    pub(super) fn send(&mut self, to: SocketAddr, packet: &Packet) -> Token {
        let (bytes, token) = packet.encode(&self.key);
        self.stats.sent += 1;
        self.outputs.push_back(Output::Send { to, bytes });
        token
    }

    /// When a packet made now is to be ignored.
    pub(super) const fn expiration(&self, now: Now) -> u64 {
        now.unix.as_secs().saturating_add(self.config.expiration.as_secs())
    }
}

/// What a request led to.
#[derive(Debug)]
pub(super) enum Answer {
    /// Nothing, in time.
    None,
    /// Nodes that can be used.
    Nodes(Vec<Node>),
    /// A record of the node that was asked.
    Record(Record),
}
