//! Packets written and read, beside what their signature operations alone cost: the limit. The aim
//! is 0.9 of its speed.
//!
//! `cargo bench -p peerage-discovery --bench packets` ends with a table of both.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::{hint::black_box, net::SocketAddr, time::Duration};

use criterion::{BenchmarkId, Criterion};
use peerage_bench::{race, time};
use peerage_discovery::v4::packet::{
    Endpoint, FindNode, MAX_NEIGHBORS, Neighbor, Neighbors, Packet, Ping, Sealed, Target,
};
use peerage_machine::Random;
use peerage_node::{RecoverableSignature, SecretKey};

const EXPIRATION: u64 = 1_800_000_000;

struct Contest {
    key: SecretKey,
    packet: Packet,
    bytes: Vec<u8>,
}

impl Contest {
    fn all() -> [(&'static str, Self); 3] {
        let mut random = Random::from_seed([1; 32]);
        let key = SecretKey::generate(&mut random);
        let addr: SocketAddr = "84.1.2.3:30303".parse().unwrap();
        let endpoint = Endpoint::new(addr, 30303);
        let ping = Ping { from: endpoint, to: endpoint, expiration: EXPIRATION, seq: Some(1) };
        let find = FindNode { target: Target(random.bytes()), expiration: EXPIRATION };
        let neighbor = |key: SecretKey| Neighbor { endpoint, key: key.public().to_bytes() };
        let nodes =
            (0..MAX_NEIGHBORS).map(|_| neighbor(SecretKey::generate(&mut random))).collect();
        [
            ("PING", Packet::Ping(ping)),
            ("FINDNODE", Packet::FindNode(find)),
            ("NEIGHBORS of 12", Packet::Neighbors(Neighbors { nodes, expiration: EXPIRATION })),
        ]
        .map(|(name, packet)| {
            let (bytes, _) = packet.encode(&key);
            (name, Self { key: key.clone(), packet, bytes })
        })
    }

    fn encode(&self, n: u32) -> Duration {
        repeat(n, || black_box(&self.packet).encode(&self.key))
    }

    fn sign(&self, n: u32) -> Duration {
        repeat(n, || self.key.sign(black_box(&[7; 32])))
    }

    fn decode(&self, n: u32) -> Duration {
        repeat(n, || Packet::decode(black_box(&self.bytes)).unwrap())
    }

    fn recover(&self, n: u32) -> Duration {
        let signature = self.key.sign(&[7; 32]).to_bytes();
        repeat(n, || {
            RecoverableSignature::from_bytes(black_box(signature)).recover(&[7; 32]).unwrap()
        })
    }

    /// What a packet costs that the limits stop.
    fn check(&self, n: u32) -> Duration {
        repeat(n, || Sealed::check(black_box(&self.bytes)).unwrap().decode().unwrap())
    }
}

fn repeat<T>(n: u32, mut run: impl FnMut() -> T) -> Duration {
    time(|| {
        for _ in 0..n {
            black_box(run());
        }
    })
}

type Run = fn(&Contest, u32) -> Duration;

/// What is done with packets that the limits stop.
const CHECK: &str = "check only";

/// Each with its limit.
const OPERATIONS: [(&str, Run, Run); 3] = [
    ("encode", Contest::encode, Contest::sign),
    ("decode", Contest::decode, Contest::recover),
    (CHECK, Contest::check, Contest::recover),
];

fn with_criterion(criterion: &mut Criterion) {
    for (operation, ours, limit) in OPERATIONS {
        let mut group = criterion.benchmark_group(operation);
        for (name, contest) in Contest::all() {
            for (who, run) in [("peerage", ours), ("limit", limit)] {
                group.bench_function(BenchmarkId::new(who, name), |bencher| {
                    bencher.iter_custom(|n| run(&contest, u32::try_from(n).unwrap()));
                });
            }
        }
        group.finish();
    }
}

fn table() {
    println!(
        "\n| operation | packet | ns | signature alone, ns | packets/s | share of the limit |"
    );
    println!("|---|---|---|---|---|---|");
    for (operation, ours, limit) in OPERATIONS {
        for (name, contest) in Contest::all() {
            let (ours, limit) = race(|n| ours(&contest, n), |n| limit(&contest, n));
            // What is only checked is not to be compared with a signature, but to vanish beside it.
            let share = match operation {
                CHECK => "-".into(),
                _ => format!("{:.2}", limit / ours),
            };
            let rate = 1e9 / ours;
            println!("| {operation} | {name} | {ours:.0} | {limit:.0} | {rate:.0} | {share} |");
        }
    }
}

fn main() {
    let mut criterion = peerage_bench::criterion();
    with_criterion(&mut criterion);
    criterion.final_summary();
    if peerage_bench::wants_tables() {
        table();
    }
}
