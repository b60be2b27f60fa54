//! Adversaries that do what nodes do, and then not what is expected of them.

use std::time::Duration;

use peerage_discovery::v4::packet::Neighbor;
use peerage_node::Node;

use super::{
    face::{Asked, Face},
    line::Pace,
    mimic::{Body, Plot},
};
use crate::world::{Io, Socket};

/// Holds many ids in few subnets, tells only of its own, and fills tables and slots.
#[derive(Debug)]
pub(super) struct Eclipse;

impl Plot for Eclipse {
    fn on_tick(&mut self, body: &mut Body, io: &mut Io<'_>) {
        if let Some(victim) = body.knows.targets.first().cloned() {
            // A node that starts has an empty table: whoever is first there has the best places.
            if let Some(to) = victim.udp_endpoints().first() {
                body.face_mut().ping(io, *to);
            }
        }
        body.court(io);
    }

    fn neighbors(&mut self, body: &mut Body, _: &mut Io<'_>, asked: &Asked) -> Vec<Neighbor> {
        Face::closest(body.knows.all.members().iter(), &asked.target)
    }
}

/// Becomes a peer and leaves at once, again and again: with a goodbye, or without one.
#[derive(Debug)]
pub(super) struct HitAndRun;

impl Plot for HitAndRun {
    fn every(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn on_tick(&mut self, body: &mut Body, io: &mut Io<'_>) {
        // As fast as it can, not as often as it may.
        if let Some(node) = body.any_target(io) {
            body.dial(io, &node);
        }
    }

    fn on_open(&mut self, body: &mut Body, io: &mut Io<'_>, socket: Socket) {
        if io.random().below(2) == 0 {
            body.say_goodbye(io, socket);
        } else {
            io.reset(socket);
            body.hang_up(io, socket);
        }
    }
}

/// Is believed, and then says nothing: in discovery after a while, on streams from the beginning.
#[derive(Debug)]
pub(super) struct Silent;

impl Silent {
    /// For how long it answers datagrams.
    const BELIEVED: Duration = Duration::from_secs(60);
}

impl Plot for Silent {
    fn on_tick(&mut self, body: &mut Body, io: &mut Io<'_>) {
        body.face_mut().answers = body.age(io) < Self::BELIEVED;
        body.court(io);
    }

    fn on_stream_begun(
        &mut self,
        body: &mut Body,
        io: &mut Io<'_>,
        socket: Socket,
        _: Option<&Node>,
    ) {
        body.hold(io, socket);
    }
}

/// Takes its time, one way or the other.
#[derive(Debug)]
pub(super) enum Slow {
    /// Becomes a peer and reads next to nothing.
    Reader,
    /// Says a byte a second: from the beginning to every other node, and once it is a peer to the
    /// rest.
    Writer,
}

impl Plot for Slow {
    fn on_stream_begun(
        &mut self,
        body: &mut Body,
        io: &mut Io<'_>,
        socket: Socket,
        dialed: Option<&Node>,
    ) {
        let dribbles = matches!(self, Self::Writer) && io.random().below(2) == 0;
        let writes = if dribbles { Pace::DRIBBLE } else { Pace::FREE };
        body.converse(io, socket, dialed, Pace::FREE, writes);
    }

    fn on_open(&mut self, body: &mut Body, _: &mut Io<'_>, socket: Socket) {
        let Some(line) = body.line(socket) else { return };
        match self {
            Self::Reader => line.reads = Pace::DRIBBLE,
            Self::Writer => line.writes = Pace::DRIBBLE,
        }
    }
}

/// Behaves well, but is of no use: what it says of itself is enough.
#[derive(Debug)]
pub(super) struct Stranger;

impl Plot for Stranger {}
