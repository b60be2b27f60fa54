//! The protocols of a node: what they are told, and what becomes of what they say.

use std::any::Any;

use peerage_machine::Instant;
use peerage_peering::envelope::ConnId;
use peerage_rlpx::Message;

use super::{
    Node,
    protocol::{Peer, Protocol, ProtocolIo},
};
use crate::world::Io;

impl Node {
    /// The protocol of this type, if the node speaks one.
    pub fn protocol<P: Protocol>(&self) -> Option<&P> {
        self.protocols.iter().find_map(|it| (it.protocol.as_ref() as &dyn Any).downcast_ref())
    }

    pub(super) fn start_protocols(&mut self, io: &mut Io<'_>) {
        for local in 0..self.protocols.len() {
            self.speak(io, local, |protocol, io| protocol.on_start(io));
        }
    }

    /// Has the protocol of this type do something out of its turn; `None` if the node speaks none.
    pub(super) fn act<P: Protocol, R>(
        &mut self,
        io: &mut Io<'_>,
        act: impl FnOnce(&mut P, &mut ProtocolIo<'_, '_>) -> R,
    ) -> Option<R> {
        let local =
            self.protocols.iter().position(|it| (it.protocol.as_ref() as &dyn Any).is::<P>());
        let done = self.speak(io, local?, |protocol, io| {
            (protocol as &mut dyn Any).downcast_mut().map(|protocol| act(protocol, io))
        });
        self.pump_touched(io);
        done
    }

    /// A connection is open: each protocol that both ends speak has a peer.
    pub(super) fn on_open(&mut self, io: &mut Io<'_>, conn: ConnId) {
        for (local, peer) in self.spoken(conn) {
            self.speak(io, local, |protocol, io| protocol.on_peer(io, peer));
        }
        self.goes_on(conn);
    }

    /// A protocol takes what has arrived for it by a connection that has ended, if it is not busy,
    /// and hears of the end after that.
    pub(super) fn hear_out(&mut self, io: &mut Io<'_>, conn: ConnId, local: usize) {
        while self.protocols[local].busy.is_none() {
            let Some(lanes) = self.left.get_mut(&conn) else { return };
            let peer = lanes.peer;
            match lanes.next(local) {
                Some(message) => self.hear(io, local, peer, &message),
                None => {
                    let has_ended = lanes.remove(local);
                    if lanes.is_empty() {
                        self.left.remove(&conn);
                    }
                    if has_ended {
                        self.speak(io, local, |protocol, io| protocol.on_end(io, peer));
                    }
                    return;
                }
            }
        }
    }

    /// A protocol takes what has arrived for it by a connection, one message after the other, until
    /// it is busy or has had enough.
    pub(super) fn listen(&mut self, io: &mut Io<'_>, conn: ConnId, local: usize) {
        while let Some((peer, message)) = self.next_message(conn, local) {
            self.hear(io, local, peer, &message);
        }
        self.goes_on(conn);
    }

    fn hear(&mut self, io: &mut Io<'_>, local: usize, peer: Peer, message: &Message) {
        self.seen.messages += 1;
        let (code, payload) = (message.code, &message.payload);
        self.speak(io, local, |protocol, io| protocol.on_message(io, peer, code, payload));
    }

    /// Wakes the protocols that are due.
    pub(super) fn wake_protocols(&mut self, io: &mut Io<'_>, now: Instant) {
        for local in 0..self.protocols.len() {
            if self.protocols[local].busy.take_if(|at| *at <= now).is_some() {
                for conn in self.conns.keys().copied().collect::<Vec<_>>() {
                    self.listen(io, conn, local);
                    self.pump(io, conn);
                }
                for conn in self.left.keys().copied().collect::<Vec<_>>() {
                    self.hear_out(io, conn, local);
                }
            }
            let wake = &mut self.protocols[local].wake;
            if wake.take_if(|at| *at <= now).is_some() {
                self.speak(io, local, |protocol, io| protocol.on_wake(io));
                self.pump_touched(io);
            }
        }
    }

    /// Does what connections have to do since a protocol spoke.
    pub(super) fn pump_touched(&mut self, io: &mut Io<'_>) {
        while !self.touched.is_empty() {
            for conn in std::mem::take(&mut self.touched) {
                self.pump_one(io, conn);
            }
        }
    }

    /// A connection is being pumped, and does what it has to do anyway.
    fn goes_on(&mut self, conn: ConnId) {
        self.touched.retain(|it| *it != conn);
    }

    /// When the first protocol wants to be woken.
    pub(super) fn next_protocol_wake(&self) -> Option<Instant> {
        self.protocols.iter().flat_map(|it| [it.wake, it.busy]).flatten().min()
    }

    /// The next message that has arrived for a protocol by a connection, if it takes any now.
    fn next_message(&mut self, conn: ConnId, local: usize) -> Option<(Peer, Message)> {
        if self.protocols[local].busy.is_some() {
            return None;
        }
        self.conns.get_mut(&conn)?.next_message(local)
    }

    /// The protocols that both ends of a connection speak.
    fn spoken(&self, conn: ConnId) -> Vec<(usize, Peer)> {
        let found = self.conns.get(&conn);
        let speaks = |local| Some((local, found?.peer_by(local)?));
        (0..self.protocols.len()).filter_map(speaks).collect()
    }

    fn speak<R>(
        &mut self,
        io: &mut Io<'_>,
        local: usize,
        act: impl FnOnce(&mut dyn Protocol, &mut ProtocolIo<'_, '_>) -> R,
    ) -> R {
        let speaker = &mut self.protocols[local];
        let mut out = ProtocolIo {
            io,
            local,
            wake: &mut speaker.wake,
            busy: &mut speaker.busy,
            random: &mut self.random,
            conns: &mut self.conns,
            left: &mut self.left,
            touched: &mut self.touched,
        };
        act(speaker.protocol.as_mut(), &mut out)
    }
}
