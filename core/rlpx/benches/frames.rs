//! Sealing and opening frames, beside the bare primitives that they are made of.
//!
//! `cargo bench -p peerage-rlpx --bench frames` ends with a table of both and the ratio between
//! them.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput};
use peerage_bench::{KINDS, Limit, SIZES, race, time};
use peerage_machine::Random;
use peerage_node::SecretKey;
use peerage_rlpx::{Egress, Ingress, Initiator, MAX_FRAME, accept};

/// A message id like those of a capability.
const CODE: u64 = 0x10;

fn main() {
    let mut criterion = peerage_bench::criterion();
    with_criterion(&mut criterion);
    criterion.final_summary();
    if peerage_bench::wants_tables() {
        table();
    }
}

/// The sending and the receiving half of one connection.
fn halves() -> (Egress, Ingress) {
    let mut random = Random::from_seed([2; 32]);
    let a = SecretKey::generate(&mut random);
    let b = SecretKey::generate(&mut random);
    let (initiator, auth) = Initiator::start(&a, b.public(), &mut random);
    let accepted = accept(&b, &auth, &mut random).unwrap();
    let (mut egress, _) = initiator.finish(&a, &accepted.ack).unwrap().split();
    let (_, mut ingress) = accepted.secrets.split();
    egress.enable_snappy();
    ingress.enable_snappy();
    ingress.set_limit(MAX_FRAME);
    (egress, ingress)
}

/// How long messages take to be sealed and to be opened, by us and at the limit.
struct Contest<'a> {
    payload: &'a [u8],
    halves: (Egress, Ingress),
    limit: (Limit, Limit),
    /// Sealed frames, as many as [`batch`](Self::batch).
    sealed: Vec<u8>,
    limit_sealed: Vec<u8>,
    opened: Vec<u8>,
    /// The largest length of one sealed frame.
    room: usize,
}

impl<'a> Contest<'a> {
    fn new(payload: &'a [u8]) -> Self {
        let room = Limit::room(payload.len());
        let mut contest = Self {
            payload,
            halves: halves(),
            limit: (Limit::new(), Limit::new()),
            sealed: Vec::new(),
            limit_sealed: Vec::new(),
            opened: vec![0; payload.len()],
            room,
        };
        contest.sealed.reserve(contest.batch() as usize * room);
        contest.limit_sealed.resize(contest.batch() as usize * room, 0);
        contest
    }

    /// How many frames are sealed before they are opened: enough to outweigh reading the clock, few
    /// enough to stay in the cache.
    fn batch(&self) -> u32 {
        u32::try_from(64 * 1024 / self.room).unwrap().clamp(1, 256)
    }

    /// Splits `n` messages into batches and adds up what `batch` takes for each.
    fn batches(&mut self, mut n: u32, batch: impl Fn(&mut Self, u32) -> Duration) -> Duration {
        let mut total = Duration::ZERO;
        while n > 0 {
            let now = n.min(self.batch());
            total += batch(self, now);
            n -= now;
        }
        total
    }

    /// Leaves the receiving half behind: to be used on a contest of its own.
    fn seal(&mut self, n: u32) -> Duration {
        time(|| {
            for _ in 0..n {
                self.sealed.clear();
                self.halves.0.seal(CODE, black_box(self.payload), &mut self.sealed).unwrap();
                black_box(&mut self.sealed);
            }
        })
    }

    fn seal_limit(&mut self, n: u32) -> Duration {
        time(|| {
            for _ in 0..n {
                self.limit.0.seal(black_box(self.payload), &mut self.limit_sealed);
                black_box(&mut self.limit_sealed);
            }
        })
    }

    fn open(&mut self, n: u32) -> Duration {
        self.batches(n, |this, n| {
            this.sealed.clear();
            for _ in 0..n {
                this.halves.0.seal(CODE, this.payload, &mut this.sealed).unwrap();
            }
            let mut input = black_box(&mut *this.sealed);
            time(|| {
                for _ in 0..n {
                    let opened = this.halves.1.open(&mut input, &mut this.opened);
                    assert_eq!(opened, Ok(Some(CODE)));
                    black_box(&mut this.opened);
                }
            })
        })
    }

    fn open_limit(&mut self, n: u32) -> Duration {
        self.batches(n, |this, n| {
            let mut end = 0;
            for _ in 0..n {
                end += this.limit.0.seal(this.payload, &mut this.limit_sealed[end..]);
            }
            let sealed = black_box(&mut *this.limit_sealed);
            time(|| {
                let mut start = 0;
                for _ in 0..n {
                    start += this.limit.1.open(&mut sealed[start..], &mut this.opened);
                    black_box(&mut this.opened);
                }
            })
        })
    }
}

fn with_criterion(criterion: &mut Criterion) {
    for (operation, ours, limit) in OPERATIONS {
        let mut group = criterion.benchmark_group(operation);
        for (kind, make) in KINDS {
            for (name, size) in SIZES {
                let payload = make(size);
                group.throughput(Throughput::Bytes(size as u64));
                for (who, run) in [("peerage", ours), ("limit", limit)] {
                    group.bench_function(
                        BenchmarkId::new(who, format!("{name} {kind}")),
                        |bencher| {
                            let mut contest = Contest::new(&payload);
                            bencher.iter_custom(|n| run(&mut contest, u32::try_from(n).unwrap()));
                        },
                    );
                }
            }
        }
        group.finish();
    }
}

type Run = fn(&mut Contest<'_>, u32) -> Duration;

const OPERATIONS: [(&str, Run, Run); 2] = [
    ("seal", |contest, n| contest.seal(n), |contest, n| contest.seal_limit(n)),
    ("open", |contest, n| contest.open(n), |contest, n| contest.open_limit(n)),
];

fn table() {
    println!(
        "\n| operation | payload | | ns | limit ns | messages/s | MB/s | share of the limit |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (operation, ours, limit) in OPERATIONS {
        for (kind, make) in KINDS {
            for (name, size) in SIZES {
                let payload = make(size);
                let (mut a, mut b) = (Contest::new(&payload), Contest::new(&payload));
                let (ours, limit) = race(|n| ours(&mut a, n), |n| limit(&mut b, n));
                println!(
                    "| {operation} | {name} | {kind} | {ours:.0} | {limit:.0} | {:.0} | {:.1} | {:.2} |",
                    1e9 / ours,
                    size as f64 * 1e3 / ours,
                    limit / ours,
                );
            }
        }
    }
}
