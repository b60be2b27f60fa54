//! The life of each connection, from accept or dial to its end.
//!
//! ```text
//!  Accepted, Stream,               Identified           Ready
//!  DialSucceeded --> Handshaking ------------> Pending ------> Peer
//!                         |                       |              | Disconnect
//!                         | Reject, Disconnect    |              v
//!                         +---------> Ended <-----+           Leaving
//!                                       |                        |
//!   every state --Closed--> gone     <--+------------------------+
//! ```
//!
//! A peer is dropped when its connection has closed, not when it is asked to leave: until then its
//! protocols run and its slot is taken. Only the loser of two simultaneous dials is dropped at
//! once, as its winner takes over the slot.
//!
//! Not here: what decides at the checkpoints ([`admit`](crate::admit)), what decides before them
//! (`inbound`), and which connections are begun (`dial`).

use std::net::{IpAddr, SocketAddr};

use peerage_machine::Instant;
use peerage_node::{NodeId, PublicKey};
use peerage_rlpx::{DisconnectReason, Fault, LocalFault, Role};

use super::{Life, Server};
use crate::{
    Config,
    admission::{Applicant, Checkpoint, Origin, Slot, admit},
    dial::Connected,
    envelope::{ConnId, DialId, Output, Refusal},
    peers::{Peer, Pending},
    tie,
};

/// A connection, from accept or dial to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conn {
    pub(super) origin: Origin,
    pub(super) remote: Option<SocketAddr>,
    /// Who should be there, where we are the initiator.
    pub(super) expected: Option<NodeId>,
    pub(super) phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody knows yet who is there.
    Handshaking,
    /// Past the first checkpoint. The key is claimed, not proven.
    Pending { id: NodeId },
    /// Past the second checkpoint.
    Peer { id: NodeId },
    /// A peer that was asked to leave.
    Leaving { id: NodeId },
    /// Rejected or ended, and no peer (any longer).
    Ended,
}

impl Conn {
    /// The node that should be at the other end, or claims to be, or is.
    pub(super) const fn id(&self) -> Option<&NodeId> {
        match &self.phase {
            Phase::Handshaking | Phase::Ended => self.expected.as_ref(),
            Phase::Pending { id } | Phase::Peer { id } | Phase::Leaving { id } => Some(id),
        }
    }

    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.remote.map(|remote| remote.ip())
    }
}

impl Server {
    pub(super) fn on_accepted(&mut self, now: Instant, conn: ConnId, remote: SocketAddr) {
        let entered = match self.life {
            Life::Running => self.gate.enter(now, &self.config.policy, conn, remote),
            Life::Stopping | Life::Stopped => Err(Refusal::Stopping),
        };
        match entered {
            Ok(()) => {
                self.insert_conn(conn, Origin::Inbound, Some(remote), None);
                self.outputs.push_back(Output::Begin { conn, role: Role::Recipient });
            }
            Err(why) => {
                self.outputs.push_back(Output::Refuse { conn, remote: Some(remote), why });
            }
        }
    }

    pub(super) fn on_stream(&mut self, conn: ConnId, role: Role) {
        if self.life == Life::Running {
            let (origin, expected) = match role {
                Role::Initiator { remote } => (Origin::Dialed, Some(remote.id())),
                Role::Recipient => (Origin::Inbound, None),
            };
            self.insert_conn(conn, origin, None, expected);
            self.outputs.push_back(Output::Begin { conn, role });
        } else {
            let why = Refusal::Stopping;
            self.outputs.push_back(Output::Refuse { conn, remote: None, why });
        }
    }

    pub(super) fn on_dial_succeeded(&mut self, dial: DialId, conn: ConnId, remote: SocketAddr) {
        let (expected, key, end) = match self.dialer.on_connected(dial, conn) {
            Some(Connected::Wanted(id, key)) => (Some(id), key, None),
            Some(Connected::Unwanted(key, reason)) => (None, key, Some(reason)),
            None => return,
        };
        self.insert_conn(conn, Origin::Dialed, Some(remote), expected);
        self.outputs.push_back(Output::Begin { conn, role: Role::Initiator { remote: key } });
        if let Some(reason) = end {
            self.end(conn, reason);
        }
    }

    pub(super) fn on_identified(&mut self, now: Instant, conn: ConnId, key: PublicKey) {
        let Some(found) = self.conns.get(&conn).copied() else { return };
        if found.phase != Phase::Handshaking {
            return;
        }
        let id = key.id();
        if found.expected.is_some_and(|expected| expected != id) {
            return self.reject(conn, DisconnectReason::UnexpectedIdentity);
        }
        match self.admit(now, id, &found, Checkpoint::Identified) {
            Ok(_) => {
                self.set_phase(conn, Phase::Pending { id });
                self.claims.insert(conn, key);
                let pending = Pending { origin: found.origin, remote: found.ip() };
                self.peers.insert_pending(id, conn, pending);
                self.outputs.push_back(Output::Greet { conn });
            }
            Err(reason) => self.reject(conn, reason),
        }
    }

    pub(super) fn on_ready(&mut self, now: Instant, conn: ConnId, shared: usize) {
        let Some(found) = self.conns.get(&conn).copied() else { return };
        let Phase::Pending { id } = found.phase else { return };
        let Some(key) = self.claims.get(&conn).copied() else { return };
        self.peers.remove_pending(id, conn);
        let useless = shared == 0 && self.config.require_shared_capability;
        match self.admit(now, id, &found, Checkpoint::Ready { useless }) {
            Ok(slot) => {
                self.end_losers(id, found.origin);
                self.gate.leave(conn);
                self.set_phase(conn, Phase::Peer { id });
                let peer = Peer { conn, key, origin: found.origin, slot, since: now };
                self.peers.insert(id, peer);
                self.outputs.push_back(Output::PeerAdded { id, peer, remote: found.remote });
                let (dialer, mut around) = self.dialing(now);
                dialer.on_peer_added(&mut around, id, conn);
            }
            Err(reason) => self.reject(conn, reason),
        }
    }

    /// Ends the connections that lose to one of this origin, which has just been admitted.
    fn end_losers(&mut self, id: NodeId, origin: Origin) {
        if !tie::prefers(&self.config.own, origin, &id) {
            return;
        }
        let reason = DisconnectReason::AlreadyConnected;
        let rivals: Vec<ConnId> = self
            .peers
            .pending(&id)
            .filter(|(_, of)| of.origin != origin)
            .map(|(conn, _)| conn)
            .collect();
        for conn in rivals {
            self.end(conn, reason);
        }
        if let Some(peer) = self.peers.get(&id).copied() {
            self.end(peer.conn, reason);
            self.set_phase(peer.conn, Phase::Ended);
            self.peers.remove(&id);
            let fault = Fault::Local(LocalFault::Disconnected(reason));
            self.outputs.push_back(Output::PeerDropped { conn: peer.conn, id, fault });
        }
    }

    pub(super) fn on_closed(&mut self, now: Instant, conn: ConnId, fault: Fault) {
        let Some(found) = self.conns.remove(&conn) else { return };
        self.claims.remove(&conn);
        self.gate.leave(conn);
        match found.phase {
            Phase::Handshaking | Phase::Ended => {}
            Phase::Pending { id } => self.peers.remove_pending(id, conn),
            Phase::Peer { id } | Phase::Leaving { id } => {
                let since = self.peers.remove(&id).map_or(now, |peer| peer.since);
                self.outputs.push_back(Output::PeerDropped { conn, id, fault });
                self.dialer.on_peer_dropped(now, &id, since);
            }
        }
        if let Some(id) = found.expected {
            let crossed = self.peers.is_crossed(&id, found.origin, found.ip());
            let (dialer, mut around) = self.dialing(now);
            dialer.on_handshake_failed(&mut around, id, (conn, fault), crossed);
        }
    }

    fn admit(
        &self,
        now: Instant,
        id: NodeId,
        of: &Conn,
        checkpoint: Checkpoint,
    ) -> Result<Slot, DisconnectReason> {
        let applicant = Applicant {
            id,
            origin: of.origin,
            remote: of.ip(),
            privileges: self.privileges(&id),
            checkpoint,
        };
        let Config { policy, limits, .. } = &self.config;
        admit(now, policy, &self.peers, &applicant, limits)
    }

    /// Ends every connection to a node that is known to be one.
    pub(super) fn end_node(&mut self, id: &NodeId, reason: DisconnectReason) {
        let conns: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, conn)| match &conn.phase {
                Phase::Handshaking => conn.expected.as_ref() == Some(id),
                Phase::Pending { id: of } | Phase::Peer { id: of } => of == id,
                Phase::Leaving { .. } | Phase::Ended => false,
            })
            .map(|(conn, _)| *conn)
            .collect();
        for conn in conns {
            self.end(conn, reason);
        }
    }

    /// Ends a connection, unless it is ending already.
    pub(super) fn end(&mut self, conn: ConnId, reason: DisconnectReason) {
        let Some(found) = self.conns.get(&conn).copied() else { return };
        let next = match found.phase {
            Phase::Handshaking => Phase::Ended,
            Phase::Pending { id } => {
                self.peers.remove_pending(id, conn);
                Phase::Ended
            }
            Phase::Peer { id } => Phase::Leaving { id },
            Phase::Leaving { .. } | Phase::Ended => return,
        };
        self.set_phase(conn, next);
        self.outputs.push_back(Output::Disconnect { conn, reason });
    }

    fn reject(&mut self, conn: ConnId, reason: DisconnectReason) {
        self.set_phase(conn, Phase::Ended);
        self.outputs.push_back(Output::Reject { conn, reason });
    }

    fn insert_conn(
        &mut self,
        conn: ConnId,
        origin: Origin,
        remote: Option<SocketAddr>,
        expected: Option<NodeId>,
    ) {
        self.conns.insert(conn, Conn { origin, remote, expected, phase: Phase::Handshaking });
    }

    fn set_phase(&mut self, conn: ConnId, phase: Phase) {
        if let Some(found) = self.conns.get_mut(&conn) {
            found.phase = phase;
        }
        if !matches!(phase, Phase::Pending { .. }) {
            self.claims.remove(&conn);
        }
    }
}
