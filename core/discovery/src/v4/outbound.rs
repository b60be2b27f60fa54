//! What [`V4`] sends of its own accord, and what follows if nobody answers.

use std::net::SocketAddr;

use peerage_machine::Now;
use peerage_node::{Node, Record};

use super::{
    V4,
    asks::{Ask, AskId, Request, Stage},
    bonds::Claimant,
    packet::{Endpoint, EnrRequest, FindNode, Packet, Ping, Target, Token},
    pings::{PingPurpose, PingUnderWay},
};
use crate::{Output, base::Base, finder::Query};

impl V4 {
    /// Pings `claimant` at `to`, or waits for the ping that is under way.
    pub(super) fn ping(
        &mut self,
        now: Now,
        base: &mut Base,
        claimant: Claimant,
        to: SocketAddr,
        purpose: PingPurpose,
    ) {
        if self.pings.join(claimant, purpose) {
            return;
        }
        let token = self.send_ping(now, base, to);
        if let PingPurpose::Ask(id) = purpose
            && let Some(ask) = self.asks.get_mut(id)
        {
            ask.packets += 1;
        }
        self.pings.add(now.mono, now.mono + self.config.reply_timeout, claimant, token, purpose);
    }

    /// Asks the stranger `node` for a proof, unless it is already asked.
    pub(super) fn ask_proof(
        &mut self,
        now: Now,
        base: &mut Base,
        claimant: Claimant,
        to: SocketAddr,
        node: Node,
    ) {
        if self.pings.is_stranger_asked(now.mono, claimant) {
            return;
        }
        let token = match self.pings.own_token(claimant) {
            Some(token) => token,
            None => self.send_ping(now, base, to),
        };
        self.pings.add_stranger(now.mono + self.config.reply_timeout, claimant, token, node);
    }

    fn send_ping(&mut self, now: Now, base: &mut Base, to: SocketAddr) -> Token {
        let (own, tcp) = base.own.stated_to(to.ip());
        self.send(
            base,
            to,
            &Packet::Ping(Ping {
                from: Endpoint::new(own, tcp),
                to: Endpoint::new(to, 0),
                expiration: self.expiration(now),
                seq: Some(base.own.current().seq()),
            }),
        )
    }

    /// No pong has come in time.
    pub(super) fn on_ping_timeout(
        &mut self,
        now: Now,
        base: &mut Base,
        claimant: Claimant,
        ping: PingUnderWay,
    ) {
        self.stats.timeouts += 1;
        for purpose in ping.purposes {
            match purpose {
                PingPurpose::Ask(id) => self.end_ask(now, base, id, Answer::None),
                PingPurpose::Check => self.finder.on_check_failed(now, base, claimant.id),
                PingPurpose::Command(id) => base.put(Output::PingFailed { id }),
            }
        }
    }

    /// Asks a node what is to be asked, after making us known to it if need be. The answer comes to
    /// [`end_ask`](Self::end_ask), and not before this returns.
    pub(super) fn ask(&mut self, now: Now, base: &mut Base, query: Query<Target>) {
        let Query { node, to, request } = query;
        let claimant = Claimant { ip: to.ip(), id: node.id() };
        let id = self.asks.add(Ask { node, to, request, stage: Stage::Bonding, packets: 0 });
        let is_known = self.bonds.is_proved(now.mono, claimant);
        if is_known && self.bonds.may_know_us(now.mono, claimant) {
            self.send_ask(now, base, id);
        } else {
            self.ping(now, base, claimant, to, PingPurpose::Ask(id));
        }
    }

    /// Sends a request to a node that should answer it, or lets it wait for its turn.
    pub(super) fn send_ask(&mut self, now: Now, base: &mut Base, id: AskId) {
        let expiration = self.expiration(now);
        let Some(ask) = self.asks.get_mut(id) else { return };
        let (claimant, to) = (ask.claimant(), ask.to);
        if !base.is_allowed(now, Some(&claimant.id), claimant.ip) {
            // The policy has changed while it waited.
            return self.end_ask(now, base, id, Answer::None);
        }
        let packet = match ask.request {
            Request::Find { target, .. } => Packet::FindNode(FindNode { target, expiration }),
            Request::Record(_) => Packet::EnrRequest(EnrRequest { expiration }),
        };
        let is_find = matches!(packet, Packet::FindNode(_));
        if is_find && self.asks.sent_find(claimant).is_some() {
            if let Some(ask) = self.asks.get_mut(id) {
                ask.stage = Stage::Queued;
            }
            return;
        }
        let token = self.send(base, to, &packet);
        let until = now.mono + self.config.reply_timeout;
        self.asks.set_due(id, until);
        if let Some(ask) = self.asks.get_mut(id) {
            ask.packets += 1;
            ask.stage = Stage::Sent { token, until, told: None };
        }
    }

    /// The time that a request waits for something is over.
    pub(super) fn on_ask_due(&mut self, now: Now, base: &mut Base, id: AskId) {
        let Some(ask) = self.asks.get_mut(id) else { return };
        match &mut ask.stage {
            // It seems to know us already.
            Stage::Greeting => self.send_ask(now, base, id),
            Stage::Sent { told, .. } => {
                let answer = told.take().map_or(Answer::None, |(_, nodes)| Answer::Nodes(nodes));
                if matches!(answer, Answer::None) {
                    self.stats.timeouts += 1;
                }
                self.end_ask(now, base, id, answer);
            }
            Stage::Bonding | Stage::Queued => {}
        }
    }

    /// A request has its answer, or will not get one.
    pub(super) fn end_ask(&mut self, now: Now, base: &mut Base, id: AskId, answer: Answer) {
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
                self.finder.on_query(now, base, claimant.id, ask.to, nodes.is_some());
                self.finder.on_nodes(now, base, search, ask.node, nodes, ask.packets);
                self.drive(now, base);
                if let Some(next) = self.asks.queued_find(claimant) {
                    self.send_ask(now, base, next);
                }
            }
            Request::Record(wanted) => {
                let record = match answer {
                    Answer::Record(record) => Some(record),
                    Answer::None | Answer::Nodes(_) => None,
                };
                self.finder.on_record(now, base, wanted, ask.node, record);
                self.drive(now, base);
            }
        }
    }

    /// Sends a packet; its hash.
    pub(super) fn send(&mut self, base: &mut Base, to: SocketAddr, packet: &Packet) -> Token {
        let (bytes, token) = packet.encode(&base.key);
        self.stats.sent += 1;
        base.put(Output::Send { to, bytes });
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
