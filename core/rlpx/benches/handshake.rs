//! A handshake, both ends of it, beside the curve operations that it cannot do without.
//!
//! `cargo bench -p peerage-rlpx --bench handshake` ends with a table of both and the ratio between
//! them.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::{hint::black_box, time::Duration};

use peerage_bench::{race, time};
use peerage_machine::Random;
use peerage_node::SecretKey;
use peerage_rlpx::{Initiator, Secrets, accept};
use secp256k1::{Message, PublicKey, SECP256K1, ecdh::shared_secret_point};

fn main() {
    let mut criterion = peerage_bench::criterion();
    let mut contest = Contest::new();
    let mut group = criterion.benchmark_group("handshake");
    group.bench_function("peerage", |bencher| bencher.iter(|| contest.handshake()));
    let curve = Curve::new();
    for (name, operation, _) in OPERATIONS {
        group.bench_function(name, |bencher| bencher.iter(|| operation(&curve)));
    }
    group.finish();
    criterion.final_summary();
    if peerage_bench::wants_tables() {
        table();
    }
}

struct Contest {
    random: Random,
    initiator: SecretKey,
    recipient: SecretKey,
}

impl Contest {
    fn new() -> Self {
        let mut random = Random::from_seed([1; 32]);
        let initiator = SecretKey::generate(&mut random);
        let recipient = SecretKey::generate(&mut random);
        Self { random, initiator, recipient }
    }

    fn handshake(&mut self) -> (Secrets, Secrets) {
        let Self { random, initiator: a, recipient: b } = self;
        let (initiator, auth) = Initiator::start(a, b.public(), random);
        let accepted = accept(b, &auth, random).unwrap();
        (initiator.finish(a, &accepted.ack).unwrap(), accepted.secrets)
    }
}

/// What the curve operations work on.
struct Curve {
    secret: secp256k1::SecretKey,
    public: PublicKey,
    signature: secp256k1::ecdsa::RecoverableSignature,
}

const DIGEST: [u8; 32] = [7; 32];

impl Curve {
    fn new() -> Self {
        let secret = secp256k1::SecretKey::from_byte_array([5; 32]).unwrap();
        let message = Message::from_digest(DIGEST);
        Self {
            secret,
            public: PublicKey::from_secret_key(SECP256K1, &secret),
            signature: SECP256K1.sign_ecdsa_recoverable(message, &secret),
        }
    }

    fn derive(&self) {
        black_box(PublicKey::from_secret_key(SECP256K1, black_box(&self.secret)));
    }

    fn agree(&self) {
        black_box(shared_secret_point(&self.public, black_box(&self.secret)));
    }

    fn sign(&self) {
        let message = Message::from_digest(black_box(DIGEST));
        black_box(SECP256K1.sign_ecdsa_recoverable(message, &self.secret));
    }

    fn recover(&self) {
        let message = Message::from_digest(black_box(DIGEST));
        black_box(SECP256K1.recover_ecdsa(message, &self.signature).unwrap());
    }
}

/// A curve operation, and how often a handshake needs it at both ends together.
type Operation = (&'static str, fn(&Curve), u32);

/// An auth and an ack are encrypted to keys made for them, and read (2 public keys, 4 agreements);
/// each end agrees with the other's static and ephemeral key (4 agreements); the recipient sends
/// its ephemeral public key; the initiator's is recovered from its signature.
const OPERATIONS: [Operation; 4] = [
    ("public key", Curve::derive, 3),
    ("agreement", Curve::agree, 8),
    ("signature", Curve::sign, 1),
    ("recovery", Curve::recover, 1),
];

fn repeat(n: u32, mut run: impl FnMut()) -> Duration {
    time(|| (0..n).for_each(|_| run()))
}

fn table() {
    let curve = Curve::new();
    println!("\n| operation | us | times in a handshake |");
    println!("|---|---|---|");
    for (name, operation, count) in OPERATIONS {
        let (ns, _) =
            race(|n| repeat(n, || operation(&curve)), |n| repeat(n, || operation(&curve)));
        println!("| {name} | {:.1} | {count} |", ns / 1e3);
    }

    let mut contest = Contest::new();
    let all = |curve: &Curve| {
        for (_, operation, count) in OPERATIONS {
            (0..count).for_each(|_| operation(curve));
        }
    };
    let (ours, limit) =
        race(|n| repeat(n, || drop(black_box(contest.handshake()))), |n| repeat(n, || all(&curve)));
    println!(
        "\nhandshake, both ends: {:.1} us; its curve operations alone: {:.1} us; {:.3} times those",
        ours / 1e3,
        limit / 1e3,
        ours / limit
    );
}
