//! An adversary that sends again what it was sent.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use peerage_node::Node;

use super::{
    line::{Pace, Tape},
    mimic::{Body, Plot},
};
use crate::world::{Io, Socket};

/// Sends datagrams and the beginnings of streams again: to whom they came from and to others, soon
/// and later.
#[derive(Debug, Default)]
pub(super) struct Replay {
    datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    /// What was said on streams, from the first byte: by others, and by itself.
    streams: VecDeque<Tape>,
    ticks: u64,
}

impl Replay {
    /// Recordings of each kind.
    const MOST: usize = 64;
    /// Datagrams sent again at each tick.
    const BURST: usize = 8;
    /// Ticks from one stream to the next.
    const STREAM_EVERY: u64 = 8;
}

impl Plot for Replay {
    fn every(&self) -> Duration {
        Duration::from_millis(250)
    }

    fn on_datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        if self.datagrams.len() >= Self::MOST {
            self.datagrams.pop_front();
        }
        self.datagrams.push_back((from, bytes.to_vec()));
    }

    fn on_tick(&mut self, body: &mut Body, io: &mut Io<'_>) {
        self.ticks += 1;
        body.records = true;
        for _ in 0..Self::BURST.min(self.datagrams.len()) {
            let at = io.random().below(self.datagrams.len() as u64);
            let (from, bytes) = self.datagrams[usize::try_from(at).unwrap_or(0)].clone();
            io.send(from, bytes.clone()).ok();
            let other = body.any_target(io).and_then(|it| it.udp_endpoints().first().copied());
            if let Some(to) = other {
                io.send(to, bytes.clone()).ok();
                // And as if it came from whoever sent it.
                io.send_as(from, to, bytes).ok();
            }
        }
        if self.ticks.is_multiple_of(Self::STREAM_EVERY)
            && let Some(node) = body.any_target(io)
        {
            body.dial(io, &node);
        }
        for tape in body.take_tapes() {
            if self.streams.len() >= Self::MOST {
                self.streams.pop_front();
            }
            self.streams.push_back(tape);
        }
    }

    fn on_stream_begun(
        &mut self,
        body: &mut Body,
        io: &mut Io<'_>,
        socket: Socket,
        dialed: Option<&Node>,
    ) {
        // What it said itself goes to whom it was said to: nobody else can read it. What others
        // said goes anywhere.
        let fits =
            |tape: &&Tape| dialed.is_some_and(|node| tape.to.is_none_or(|to| to == node.id()));
        let fitting: Vec<&Tape> = self.streams.iter().filter(fits).collect();
        // Where it does not play, it is a peer like others, and records what it is told.
        let plays = !fitting.is_empty() && io.random().below(4) > 0;
        if !plays {
            return body.converse(io, socket, dialed, Pace::FREE, Pace::FREE);
        }
        let at = io.random().below(fitting.len() as u64);
        let _ = io.write(socket, &fitting[usize::try_from(at).unwrap_or(0)].bytes);
        body.hold(io, socket);
    }
}
