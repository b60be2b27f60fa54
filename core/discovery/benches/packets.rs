//! Packets written and read, beside what their signature operations alone cost: the limit. The aim is
//! 0.9 of its speed.
//!
//! `cargo bench -p peerage-discovery --bench packets`

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::{hint::black_box, net::SocketAddr};

use criterion::{Criterion, criterion_group, criterion_main};
use peerage_discovery::packet::{
    Endpoint, MAX_NEIGHBORS, Neighbor, Neighbors, Packet, Ping, Sealed,
};
use peerage_machine::Random;
use peerage_node::{RecoverableSignature, SecretKey};

fn packets(c: &mut Criterion) {
    let mut random = Random::from_seed([1; 32]);
    let key = SecretKey::generate(&mut random);
    let addr: SocketAddr = "84.1.2.3:30303".parse().unwrap();
    let endpoint = Endpoint::new(addr, 30303);
    let expiration = 1_800_000_000;
    let ping = Packet::Ping(Ping { from: endpoint, to: endpoint, expiration, seq: Some(1) });
    let neighbor = |key: SecretKey| Neighbor { endpoint, key: key.public().to_bytes() };
    let nodes = (0..MAX_NEIGHBORS).map(|_| neighbor(SecretKey::generate(&mut random))).collect();
    let neighbors = Packet::Neighbors(Neighbors { nodes, expiration });

    let digest = [7; 32];
    let signature = key.sign(&digest).to_bytes();
    c.bench_function("limit/sign", |b| b.iter(|| key.sign(black_box(&digest))));
    c.bench_function("limit/recover", |b| {
        b.iter(|| RecoverableSignature::from_bytes(black_box(signature)).recover(&digest).unwrap());
    });
    for (name, packet) in [("ping", ping), ("neighbors", neighbors)] {
        let (bytes, _) = packet.encode(&key);
        c.bench_function(&format!("{name}/encode"), |b| b.iter(|| black_box(&packet).encode(&key)));
        c.bench_function(&format!("{name}/decode"), |b| {
            b.iter(|| Packet::decode(black_box(&bytes)).unwrap());
        });
        // What a flood costs that the limits stop.
        c.bench_function(&format!("{name}/check"), |b| {
            b.iter(|| Sealed::check(black_box(&bytes)).unwrap().decode().unwrap());
        });
    }
}

criterion_group!(benches, packets);
criterion_main!(benches);
