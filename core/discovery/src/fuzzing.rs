//! What is done with arbitrary bytes: the bodies of the fuzz targets, which are property tests too.
//!
//! A body panics where something is wrong. The targets themselves are in `fuzz/`. Not part of the
//! public interface.

#![allow(clippy::unwrap_used, reason = "a finding is a panic")]

mod candidates;
mod v5;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use arbitrary::Unstructured;
use peerage_machine::{Instant, Machine as _, Now};
use peerage_node::{Node, SelfDescription, Source};

pub use self::candidates::candidates;
use crate::{
    Command, Config, Endpoint, Input, LookupTarget, Output, QueryId,
    table::model,
    testing::{public, secret},
    v4::packet::{self, Packet, Target, Token},
};

pub use self::v5::{reader, v5, v5_packet};

/// The first type of a packet, and how many are known.
const KINDS: u8 = 6;

/// A datagram: the bytes as they are, or as the content of a packet that is signed, so that what is
/// behind hash and signature is reached. What is read can be said again.
pub fn packet(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    let bytes = match mode % 8 {
        0 => rest.to_vec(),
        kind => packet::seal(kind, rest, &secret(1)),
    };
    let Ok((packet, key, _)) = Packet::decode(&bytes) else { return };
    assert_eq!(mode.is_multiple_of(8), key != *secret(1).public());
    let (said, _) = packet.encode(&secret(2));
    if said.len() <= packet::MAX_PACKET_SIZE {
        assert_eq!(Packet::decode(&said).unwrap().0, packet);
    }
}

/// Steps on a table; see the module.
pub fn table(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let steps = std::iter::from_fn(|| if u.is_empty() { None } else { u.arbitrary().ok() });
    model::run(steps.take(400));
}

/// Those who talk to the machine: each has a key and an address, and may claim to be another.
const TALKERS: u32 = 6;

/// Datagrams and commands for a machine: it sends nothing but PING and PONG to an address that has
/// proved nothing, holds no more memory than it promises, and is never woken for nothing.
pub fn v4(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let mut world = V4World::new();
    for _ in 0..200 {
        if u.is_empty() || world.step(&mut u).is_err() {
            return;
        }
    }
}

struct V4World {
    now: Now,
    machine: Endpoint,
    config: Config,
    /// Pings of the machine that were not answered: to whom, and their hashes.
    pings: Vec<(SocketAddr, Token)>,
    proved: BTreeSet<SocketAddr>,
    queries: u64,
}

impl V4World {
    fn new() -> Self {
        let now = Now { mono: Instant::START, unix: Duration::from_secs(1_800_000_000) };
        let config = Config { v5: None, ..Config::default() };
        let mut about = SelfDescription::new(secret(0));
        about.udp = vec![([11, 255, 0, 1], 30_303).into()];
        let machine = Endpoint::new(config.clone(), about, 0, [9; 32]);
        let (pings, proved) = (Vec::new(), BTreeSet::new());
        let mut world = Self { now, machine, config, pings, proved, queries: 0 };
        world.tell(Input::Seeds(Vec::new()));
        world
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let [what, who, how]: [u8; 3] = u.arbitrary()?;
        let key = secret(1 + u32::from(who) % TALKERS);
        let from = public(u32::from(how) % TALKERS);
        match what % 16 {
            0..4 => {
                let length = u.int_in_range(0..=200_usize)?.min(u.len());
                let bytes = packet::seal(1 + what % KINDS, u.bytes(length)?, &key);
                self.receive(from, &bytes);
            }
            4..9 => {
                let packet = self.packet(what, from, how);
                self.receive(from, &packet.encode(&key).0);
            }
            9..12 => {
                // The answer that the machine waits for, from the one it asked or from somebody
                // else.
                let at = usize::from(how) % self.pings.len().max(1);
                let Some((to, token)) = self.pings.get(at).copied() else { return Ok(()) };
                let pong = packet::Pong {
                    to: packet::Endpoint::new(public(9), 0),
                    token,
                    expiration: self.now.unix.as_secs() + 20,
                    seq: Some(u64::from(who)),
                };
                let from = if who.is_multiple_of(8) { from } else { to };
                if from == to {
                    self.proved.insert(to);
                }
                self.receive(from, &Packet::Pong(pong).encode(&key).0);
            }
            12 => {
                let node = Node::from_endpoint(*key.public(), from, None);
                self.tell(Command::AddNode(node).into());
            }
            13 => {
                self.queries += 1;
                let target = LookupTarget::Key(*secret(u32::from(who)).public());
                self.tell(
                    Command::Lookup { version: None, id: QueryId(self.queries), target }.into(),
                );
            }
            14 => {
                let source = [Source::DISCOVERY_V4, Source::USER][usize::from(who % 2)];
                self.tell(Input::Want { source, count: usize::from(how % 4) });
            }
            _ => {
                let millis = u64::from(how) * u64::from(who);
                self.now = self.now.later(Duration::from_millis(millis));
                self.machine.handle_timeout(self.now);
                self.drain();
                let next = self.machine.poll_timeout();
                assert!(next.is_none_or(|at| at > self.now.mono), "what is due was not done");
            }
        }
        Ok(())
    }

    /// A packet that is right, but for where and when it comes.
    fn packet(&self, what: u8, from: SocketAddr, how: u8) -> Packet {
        let expiration = self.now.unix.as_secs() + 20 - u64::from(how % 32);
        let endpoint = packet::Endpoint::new(from, from.port());
        match what % 5 {
            0 => Packet::FindNode(packet::FindNode { target: Target([how; 64]), expiration }),
            1 => Packet::EnrRequest(packet::EnrRequest { expiration }),
            2 => {
                let tell = |n: u32| {
                    let node = Node::from_endpoint(*secret(n).public(), public(n), None);
                    packet::Neighbor::new(&node, public(n))
                };
                let nodes = (0..u32::from(how % 13)).map(tell).collect();
                Packet::Neighbors(packet::Neighbors { nodes, expiration })
            }
            _ => {
                let seq = Some(u64::from(how));
                Packet::Ping(packet::Ping { from: endpoint, to: endpoint, expiration, seq })
            }
        }
    }

    fn receive(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.tell(Input::Datagram { from, datagram: bytes.into() });
    }

    fn tell(&mut self, input: Input<'_>) {
        self.machine.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            let Output::Send { to, bytes } = output else { continue };
            assert!(bytes.len() <= packet::MAX_PACKET_SIZE, "too large for a datagram");
            let (packet, key, token) = Packet::decode(&bytes).expect("because we made it");
            assert_eq!(key, *secret(0).public());
            match packet {
                Packet::Ping(_) => self.pings.push((to, token)),
                Packet::Pong(_) => {}
                other => assert!(self.proved.contains(&to), "{other:?} to {to}"),
            }
        }
        let commands = usize::try_from(self.queries).unwrap();
        let (held, bound) =
            (self.machine.memory(), Endpoint::memory_bound(&self.config, commands, 0));
        assert!(held <= bound, "{held} bytes are held of {bound}");
    }
}

#[cfg(test)]
mod tests {
    use peerage_machine::fuzzing::{Body, replay};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(any::<u8>(), 0..800)) {
            for body in [candidates, packet, table, v4, v5, v5_packet] {
                body(&data);
            }
        }
    }

    #[test]
    fn what_was_found_or_is_known_is_survived() {
        let bodies: [Body<'_>; 6] = [
            ("candidates", candidates),
            ("packet", packet),
            ("table", table),
            ("v4", v4),
            ("v5", v5),
            ("v5_packet", v5_packet),
        ];
        replay(env!("CARGO_MANIFEST_DIR"), &bodies);
    }
}
