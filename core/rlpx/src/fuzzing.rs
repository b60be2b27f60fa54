//! What is done with arbitrary bytes: the bodies of the fuzz targets, which are property tests too.
//!
//! A body panics where something is wrong. The targets themselves are in `fuzz/`. Not part of the
//! public interface.

#![allow(clippy::unwrap_used, reason = "a finding is a panic")]

mod pair;

use alloy_rlp::Header;
use arbitrary::Unstructured;
use peerage_machine::{Now, Random};
use peerage_node::SecretKey;

use crate::{
    Capability, CapabilityName, Config, Connection, DisconnectReason, Egress, Event, Hello,
    Ingress, Initiator, LocalCapability, MAX_FRAME, MAX_HELLO, PeerMisbehaved, Role, Secrets,
    accept, disconnect, ecies, frame, hello,
};

/// A packet of at most this many bytes is made of a plaintext: there is no larger one.
const MAX_PLAINTEXT: usize = 1_900;

fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap()
}

fn capability(name: &str, length: u64) -> LocalCapability {
    let name = CapabilityName::new(name).unwrap();
    LocalCapability { capability: Capability { name, version: 1 }, length }
}

pub(crate) fn config(byte: u8, capabilities: &[LocalCapability]) -> Config {
    let mut config = Config::new(key(byte), format!("test/{byte}"));
    config.capabilities = capabilities.to_vec();
    config
}

/// A handshake packet: the bytes as they are, or sealed to us, so that what is behind the
/// encryption is reached.
fn packet(data: &[u8], remote: &SecretKey, random: &mut Random) -> Vec<u8> {
    let Some((mode, rest)) = data.split_first() else { return Vec::new() };
    if mode.is_multiple_of(2) {
        return rest.to_vec();
    }
    let plaintext = &rest[..rest.len().min(MAX_PLAINTEXT)];
    let size = u16::try_from(ecies::OVERHEAD + plaintext.len()).unwrap();
    let mut packet = size.to_be_bytes().to_vec();
    ecies::encrypt(&key(9), remote.public(), plaintext, &mut packet, random);
    packet
}

/// An auth: accepted or refused, by the function and by a connection alike, however it is split.
pub fn auth(data: &[u8]) {
    let mut random = Random::from_seed([1; 32]);
    let packet = packet(data, &key(2), &mut random);
    let accepted = accept(&key(2), &packet, &mut Random::from_seed([2; 32]));
    let config = config(2, &[capability("aaa", 3)]).into();
    let mut connection = Connection::new(config, Role::Recipient, Now::default(), [2; 32]);
    let event = feed(&mut connection, &packet);
    match (accepted, event) {
        (Ok(accepted), Some(Event::Identified { key })) => assert_eq!(key, accepted.remote),
        (Err(_), Some(Event::Closed { .. }) | None) => {}
        // Bytes that follow the packet are not part of it.
        (Err(PeerMisbehaved::HandshakeSize(_)), Some(Event::Identified { .. })) => {}
        (accepted, event) => panic!("{accepted:?}, but {event:?}"),
    }
}

/// An ack, as an initiator gets it.
pub fn ack(data: &[u8]) {
    let mut random = Random::from_seed([3; 32]);
    let packet = packet(data, &key(1), &mut random);
    let (initiator, _) = Initiator::start(&key(1), key(2).public(), &mut random);
    let finished = initiator.finish(&key(1), &packet);
    let role = Role::Initiator { remote: *key(2).public() };
    let config = config(1, &[capability("aaa", 3)]).into();
    let mut connection = Connection::new(config, role, Now::default(), [3; 32]);
    let event = feed(&mut connection, &packet);
    match (finished, event) {
        (Ok(_), Some(Event::Identified { key: of })) => assert_eq!(of, *key(2).public()),
        (Err(_), Some(Event::Closed { .. }) | None) => {}
        (Err(PeerMisbehaved::HandshakeSize(_)), Some(Event::Identified { .. })) => {}
        (finished, event) => panic!("{finished:?}, but {event:?}"),
    }
}

/// Feeds a connection as fast as it takes bytes: its first event. A stranger costs it no more than
/// was promised.
fn feed(connection: &mut Connection, packet: &[u8]) -> Option<Event> {
    let (mut rest, mut payload) = (packet, Vec::new());
    let mut event = connection.poll_event();
    loop {
        let memory = connection.memory();
        assert!(memory <= Connection::MAX_UNADMITTED, "{memory} bytes for a stranger");
        event = match event {
            Some(Event::Step(step)) => {
                connection.handle_step(Now::default(), step.run());
                connection.poll_event()
            }
            Some(event) => return Some(event),
            None => {
                let taken = connection.read_budget().min(rest.len());
                if taken == 0 {
                    return None;
                }
                let mut bytes = rest[..taken].to_vec();
                rest = &rest[taken..];
                connection.receive(Now::default(), &mut bytes.as_mut_slice(), &mut payload)
            }
        };
    }
}

/// Both ends of a link.
fn secrets() -> [Secrets; 2] {
    let mut random = Random::from_seed([4; 32]);
    let (initiator, auth) = Initiator::start(&key(1), key(2).public(), &mut random);
    let accepted = accept(&key(2), &auth, &mut random).unwrap();
    [initiator.finish(&key(1), &accepted.ack).unwrap(), accepted.secrets]
}

/// Frames: garbage, or sealed with the right keys and then cut into pieces; what arrives is what
/// was sent, and the buffer grows with what has arrived only.
pub fn frames(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let [ours, theirs] = secrets();
    let (mut egress, _) = ours.split();
    let (_, mut ingress) = theirs.split();
    let Ok([snappy, early, garbage]) = u.arbitrary::<[bool; 3]>() else { return };
    ingress.set_limit(if early { MAX_HELLO } else { MAX_FRAME });
    if snappy {
        egress.enable_snappy();
        ingress.enable_snappy();
    }
    let mut sent = Vec::new();
    let mut wire = Vec::new();
    for _ in 0..u.int_in_range(0..=4).unwrap_or(0) {
        let code = u64::from(u.arbitrary::<u16>().unwrap_or(0));
        let length = u.int_in_range(0..=3_000_usize).unwrap_or(0);
        let byte = u.arbitrary().unwrap_or(0);
        let mut payload = vec![byte; length];
        let head = u.bytes(length.min(16).min(u.len())).unwrap_or(&[]);
        payload[..head.len()].copy_from_slice(head);
        egress.seal(code, &payload, &mut wire).unwrap();
        sent.push((code, payload));
    }
    if garbage {
        let at = u.int_in_range(0..=wire.len()).unwrap_or(0);
        wire.splice(at.., u.bytes(u.len().min(200)).unwrap_or(&[]).iter().copied());
    }
    let arrived = open_all(&mut ingress, &wire, &mut u);
    assert!(sent.starts_with(&arrived), "what arrives is what was sent, in order");
    if !early && !garbage {
        assert_eq!(sent.len(), arrived.len(), "everything arrives");
    }
}

/// What can be read of `wire`, cut into pieces of sizes that `u` says.
fn open_all(ingress: &mut Ingress, wire: &[u8], u: &mut Unstructured<'_>) -> Vec<(u64, Vec<u8>)> {
    let (mut arrived, mut payload, mut taken) = (Vec::new(), Vec::new(), 0);
    while taken < wire.len() {
        let size = u.int_in_range(1..=1_500_usize).unwrap_or(1_500).min(wire.len() - taken);
        let mut piece = wire[taken..taken + size].to_vec();
        taken += size;
        let mut input = piece.as_mut_slice();
        loop {
            match ingress.open(&mut input, &mut payload) {
                Ok(Some(code)) => arrived.push((code, payload.clone())),
                Ok(None) => break,
                Err(_) => return arrived,
            }
        }
        let held = ingress.memory();
        assert!(held <= 2 * taken + 256, "{held} bytes are held of {taken} that came");
    }
    arrived
}

/// A payload of snappy: refused, or within the growth that snappy can have; and what we compress
/// comes back.
pub fn snappy(data: &[u8]) {
    let mut payload = vec![7; 3];
    if frame::decompress(data, &mut payload).is_ok() {
        assert!(payload.len() <= 22 * data.len(), "snappy made too much of it");
    } else {
        assert!(payload.capacity() <= 22 * data.len() + 64, "memory before the check");
    }
    let mut compressed = Vec::new();
    frame::compress(data, &mut compressed);
    frame::decompress(&compressed, &mut payload).unwrap();
    assert_eq!(payload, data);
}

/// A Hello: what we read of it we can say again, and read the same.
pub fn hello(data: &[u8]) {
    let _ = hello::version(data);
    let Ok(hello) = Hello::decode(data) else { return };
    let mut said = Vec::new();
    hello.encode(&mut said);
    assert_eq!(Hello::decode(&said), Ok(hello));
}

/// A Disconnect: any bytes are one, and its reason can be said again.
pub fn disconnect(data: &[u8]) {
    let reason = disconnect::decode(data);
    assert_eq!(disconnect::decode(&disconnect::encode(reason)), reason);
    assert_eq!(DisconnectReason::from_code(reason.code()), reason);
}

/// Operations on a pair of connections; see the module.
pub fn connection_pair(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let mut ops = if u.arbitrary().unwrap_or(false) { pair::opening() } else { Vec::new() };
    while let Ok(op) = u.arbitrary()
        && !u.is_empty()
        && ops.len() < 400
    {
        ops.push(op);
    }
    pair::run(&ops);
}

/// Seals frames of any content with the right keys, so that the code behind the MAC is reached:
/// what a peer may say once it is let in, and before.
pub fn peer(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let mut random = Random::from_seed([5; 32]);
    let config = config(2, &[capability("aaa", 3)]).into();
    let mut connection = Connection::new(config, Role::Recipient, Now::default(), [6; 32]);
    let (initiator, auth) = Initiator::start(&key(1), key(2).public(), &mut random);
    assert!(matches!(feed(&mut connection, &auth), Some(Event::Identified { .. })));
    let ack = connection.outgoing().to_vec();
    connection.written(Now::default(), ack.len());
    let (mut egress, _) = initiator.finish(&key(1), &ack).unwrap().split();
    connection.admit(Now::default());
    if u.arbitrary().unwrap_or(false) {
        say_hello(&mut egress, &mut connection);
    }
    for _ in 0..8 {
        let Ok(code) = u.arbitrary::<u8>() else { return };
        let length = u.int_in_range(0..=2_200_usize).unwrap_or(0).min(u.len());
        let payload = u.bytes(length).unwrap_or(&[]);
        let mut wire = Vec::new();
        egress.seal(u64::from(code % 0x18), payload, &mut wire).unwrap();
        match feed(&mut connection, &wire) {
            Some(Event::Closed { .. }) => return,
            Some(Event::Ready { .. }) => connection.admit(Now::default()),
            _ => {}
        }
        let queued = connection.queued();
        assert!(queued <= 4_096, "{queued} bytes wait for a peer that may never read");
        if connection.fault().is_some() {
            return;
        }
    }
}

/// A correct Hello, and what follows from it.
fn say_hello(egress: &mut Egress, connection: &mut Connection) {
    let config = config(1, &[capability("aaa", 3)]);
    let hello = Hello {
        version: 5,
        client: config.client.clone(),
        capabilities: config.capabilities.iter().map(|local| local.capability).collect(),
        listen_port: 0,
        identity: *config.key.public(),
    };
    let (mut payload, mut wire) = (Vec::new(), Vec::new());
    hello.encode(&mut payload);
    egress.seal(0, &payload, &mut wire).unwrap();
    egress.enable_snappy();
    assert!(matches!(feed(connection, &wire), Some(Event::Ready { .. })));
    connection.admit(Now::default());
}

/// An auth's plaintext that is right but for what a fuzzer makes of it: for the seed corpus.
pub fn seed_plaintext() -> Vec<u8> {
    let fields = [&[7_u8; 65][..], &key(9).public().to_bytes()[..], &[8; 32][..], &[4][..]];
    let mut content = Vec::new();
    for field in fields {
        alloy_rlp::Encodable::encode(&field, &mut content);
    }
    let mut plaintext = Vec::new();
    Header { list: true, payload_length: content.len() }.encode(&mut plaintext);
    plaintext.extend(content);
    plaintext
}

#[cfg(test)]
mod tests {
    use peerage_machine::fuzzing::replay;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(any::<u8>(), 0..600)) {
            for body in [auth, ack, frames, snappy, hello, disconnect, connection_pair, peer] {
                body(&data);
            }
        }
    }

    #[test]
    fn what_was_found_or_is_known_is_survived() {
        replay(
            env!("CARGO_MANIFEST_DIR"),
            &[
                ("auth", auth),
                ("ack", ack),
                ("frames", frames),
                ("snappy", snappy),
                ("hello", hello),
                ("disconnect", disconnect),
                ("connection_pair", connection_pair),
                ("peer", peer),
            ],
        );
    }
}
