//! Adversaries that send as much as they can.

use std::{net::SocketAddr, time::Duration};

use peerage_discovery::v4::packet::{Endpoint, Packet, Pong};
use peerage_node::{Node, SecretKey};
use peerage_rlpx::Initiator;

use super::{
    face::{another_key, enr_request, expiration, find_node},
    liar::lies,
    mimic::{Body, MAX_STREAMS, Plot},
};
use crate::world::{Io, Socket};

/// Opens streams as fast as it can: half of them with something that is no auth, half with a true
/// one by a key that nobody has seen. It holds each for as long as it is let, up to as many as it
/// can have.
#[derive(Debug, Default)]
pub(super) struct HandshakeFlood {
    begun: u64,
}

impl HandshakeFlood {
    /// Streams opened at each tick.
    const BURST: usize = 4;
    /// Of what is no auth.
    const GARBAGE: u16 = 400;
}

impl Plot for HandshakeFlood {
    fn every(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn on_tick(&mut self, body: &mut Body, io: &mut Io<'_>) {
        for _ in 0..Self::BURST {
            if let Some(node) = body.any_target(io) {
                body.dial(io, &node);
            }
        }
    }

    fn on_stream_begun(
        &mut self,
        body: &mut Body,
        io: &mut Io<'_>,
        socket: Socket,
        dialed: Option<&Node>,
    ) {
        self.begun += 1;
        if let Some(node) = dialed {
            let auth = if self.begun.is_multiple_of(2) {
                let key = another_key(io, body.face().key());
                Initiator::start(&key, node.public_key(), io.random()).1
            } else {
                let mut garbage = vec![0; usize::from(Self::GARBAGE) + 2];
                io.random().fill(&mut garbage);
                garbage[..2].copy_from_slice(&Self::GARBAGE.to_be_bytes());
                // Some of it is missing, now and then: that has to be waited for.
                garbage.truncate(garbage.len() - usize::from(self.begun % 4 == 1));
                garbage
            };
            let _ = io.write(socket, &auth);
        }
        body.hold(io, socket);
        debug_assert!(body.streams() <= MAX_STREAMS, "because dialing lets go of the oldest");
    }
}

/// Sends datagrams as fast as it can, every other one in the name of somebody else.
#[derive(Debug, Default)]
pub(super) struct UdpFlood {
    keys: Vec<SecretKey>,
    sent: u64,
}

impl UdpFlood {
    /// Datagrams at each tick: three hundred a second.
    const BURST: u64 = 30;
    const KEYS: usize = 16;

    /// What is sent to `to`, as if from `from`.
    fn datagram(&mut self, body: &mut Body, io: &mut Io<'_>, to: SocketAddr) -> Vec<u8> {
        let at = usize::try_from(io.random().below(self.keys.len() as u64)).unwrap_or(0);
        let key = &self.keys[at];
        let expiration = expiration(io);
        let packet = match self.sent % 6 {
            0 => {
                let mut garbage =
                    vec![0; 1 + usize::try_from(io.random().below(1_400)).unwrap_or(0)];
                io.random().fill(&mut garbage);
                return garbage;
            }
            1 => body.face_mut().ping_packet(io, to),
            2 => {
                let token = io.random().bytes();
                Packet::Pong(Pong { to: Endpoint::new(to, 0), token, expiration, seq: None })
            }
            3 => lies(body, io, to),
            4 => find_node(io),
            _ => enr_request(io),
        };
        packet.encode(key).0
    }
}

impl Plot for UdpFlood {
    fn every(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn on_tick(&mut self, body: &mut Body, io: &mut Io<'_>) {
        while self.keys.len() < Self::KEYS {
            self.keys.push(another_key(io, body.face().key()));
        }
        for _ in 0..Self::BURST {
            let place = |node: Option<Node>| node?.udp_endpoints().first().copied();
            let (Some(to), Some(victim)) = (place(body.any_target(io)), place(body.any_target(io)))
            else {
                return;
            };
            let bytes = self.datagram(body, io, to);
            // In turns of six kinds: each comes both ways.
            if (self.sent / 6).is_multiple_of(2) {
                io.send(to, bytes).ok();
            } else {
                io.send_as(victim, to, bytes).ok();
            }
            self.sent += 1;
        }
    }
}
