//! Writes the seed corpora anew: `cargo run --manifest-path fuzz/Cargo.toml --example seeds`, from
//! the root of the project.
//!
//! A few valid inputs a target, from which a fuzzer finds the others.

use std::{error::Error, fs, path::Path};

use peerage_discovery::v4::packet::{
    Endpoint, EnrRequest, FindNode, Neighbor, Neighbors, Packet, Ping, Pong, Target,
};
use peerage_discovery::v5::packet::{Mask, Message, RequestId, who_are_you};
use peerage_machine::Random;
use peerage_node::{LocalRecord, Node, SecretKey};
use peerage_rlpx::{Capability, CapabilityName, Hello};

/// The packages that the targets are in.
const NODE: &str = "core/node";
const RLPX: &str = "core/rlpx";
const DISCOVERY: &str = "core/discovery";
const PEERING: &str = "core/peering";
const CLI: &str = "cli";
const SIM: &str = "sim";

/// Hash, signature and type of a packet.
const HEAD: usize = 98;

fn main() -> Result<(), Box<dyn Error>> {
    let key = SecretKey::from_bytes(&[7; 32])?;
    let mut local = LocalRecord::new(key.clone(), 3);
    local.set_ip4(Some([11, 0, 0, 1].into()))?;
    local.set_tcp4(Some(30_303))?;
    local.set_udp4(Some(30_303))?;
    let record = local.record().clone();
    let node = Node::from_endpoint(*key.public(), "11.0.0.1:30303".parse()?, Some(30_301));

    write(NODE, "record", "whole", &[&[0], record.as_rlp()].concat())?;
    // What follows the signature: 3 bytes of header and 66 of it.
    write(
        NODE,
        "record",
        "content",
        &[&[1], &record.as_rlp()[record.as_rlp().len() - content(&record)..]].concat(),
    )?;
    write(NODE, "url", "enode", node.to_string().as_bytes())?;
    write(NODE, "url", "enr", record.to_string().as_bytes())?;
    write(NODE, "url", "tail", b"[2a00::1]:30303?discport=1")?;

    let plaintext = peerage_rlpx::fuzzing::seed_plaintext();
    write(RLPX, "auth", "sealed", &[&[1], &plaintext[..]].concat())?;
    write(RLPX, "ack", "sealed", &[&[1], &plaintext[..]].concat())?;

    let capability =
        |(name, version)| CapabilityName::new(name).map(|name| Capability { name, version });
    let known = [("eth", 68), ("eth", 69), ("snap", 1), ("aaa", 1)];
    let capabilities = known.into_iter().map(capability).collect::<Result<_, _>>()?;
    let hello = Hello {
        version: 5,
        client: "test/1".into(),
        capabilities,
        listen_port: 0,
        identity: *key.public(),
    };
    let mut payload = Vec::new();
    hello.encode(&mut payload);
    write(RLPX, "hello", "whole", &payload)?;
    write(
        RLPX,
        "peer",
        "hello",
        &[&[0, 0], &u64::try_from(payload.len())?.to_le_bytes()[..2], &payload[..]].concat(),
    )?;
    for (name, form) in [
        ("list", &[0xc1, 0x04][..]),
        ("bare", &[0x04]),
        ("empty", &[0xc0]),
        ("long", &[0xc2, 0x81, 0xff]),
    ] {
        write(RLPX, "disconnect", name, form)?;
    }
    write(RLPX, "snappy", "text", b"\x0b\x28hello hello")?;
    write(RLPX, "snappy", "bomb", &[0xff, 0xff, 0xff, 0x07, 0x00])?;

    let endpoint = Endpoint::new("11.0.0.1:30303".parse()?, 30_303);
    let expiration = 1_800_000_020;
    let neighbor = Neighbor::new(&node, "11.0.0.1:30301".parse()?);
    for (kind, packet) in [
        (1, Packet::Ping(Ping { from: endpoint, to: endpoint, expiration, seq: Some(3) })),
        (2, Packet::Pong(Pong { to: endpoint, token: [9; 32], expiration, seq: Some(3) })),
        (3, Packet::FindNode(FindNode { target: Target([5; 64]), expiration })),
        (4, Packet::Neighbors(Neighbors { nodes: vec![neighbor; 3], expiration })),
        (5, Packet::EnrRequest(EnrRequest { expiration })),
    ] {
        let (bytes, _) = packet.encode(&key);
        write(DISCOVERY, "packet", &format!("sealed-{kind}"), &[&[kind], &bytes[HEAD..]].concat())?;
        write(DISCOVERY, "packet", &format!("whole-{kind}"), &[&[8], &bytes[..]].concat())?;
    }
    let id = RequestId::new(&[1]).ok_or("a short id")?;
    for (name, message) in [
        ("ping", Message::Ping { id, seq: 2 }),
        ("pong", Message::Pong { id, seq: 2, recipient: Some("11.0.0.1:30303".parse()?) }),
        ("find", Message::FindNode { id, distances: vec![256, 0] }),
        ("nodes", Message::Nodes { id, total: 1, records: vec![&[0xc0]] }),
        ("talk", Message::TalkRequest { id, protocol: b"ab", request: &[1, 2] }),
        ("answer", Message::TalkResponse { id, response: b"" }),
    ] {
        write(DISCOVERY, "v5_packet", name, &[&[0], &message.encode()[..]].concat())?;
    }
    // Masked for the reader's own key, in the body of the target.
    let mask = Mask::of(&peerage_discovery::fuzzing::reader());
    let (who_are_you, _) = who_are_you(&mask, &[1; 16], &[2; 12], &[3; 16], 4);
    write(DISCOVERY, "v5_packet", "masked", &[&[1], &who_are_you[..]].concat())?;
    write(CLI, "config", "whole", b"listen = \"127.0.0.1:0\"\nmax-peers = 3\ndial-ratio = 2\necho = [\"demo/1/4\"]\nlog = \"warn\"\n")?;
    write(CLI, "config", "wrong", b"max-peers = -1\n")?;

    // Operations: any bytes are some.
    let mut random = Random::from_seed([1; 32]);
    for (package, target, size) in [
        (RLPX, "connection_pair", 600),
        (RLPX, "frames", 300),
        (RLPX, "peer", 300),
        (PEERING, "server", 500),
        (DISCOVERY, "table", 800),
        (DISCOVERY, "v4", 900),
        (SIM, "world", 100),
        (DISCOVERY, "candidates", 800),
        (DISCOVERY, "v5", 900),
    ] {
        for n in 0..3 {
            let mut bytes = vec![0; size];
            random.fill(&mut bytes);
            write(package, target, &format!("random-{n}"), &bytes)?;
        }
    }
    Ok(())
}

/// How long the content of a record is: all but its header and its signature.
fn content(record: &peerage_node::Record) -> usize {
    let rlp = record.as_rlp();
    let header = if rlp[0] == 0xf8 { 2 } else { 3 };
    rlp.len() - header - 66
}

fn write(package: &str, target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(package).join("fuzzing/corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}
