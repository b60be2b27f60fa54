//! Messages from one server to another over loopback TCP, beside the bare primitives of both ends.
//!
//! `cargo bench -p peerage --bench loopback` ends with a table of both. One thread runs both
//! servers, so that a message's time is the processor time of its whole way: protocol, queue, seal,
//! write, read, open, queue, protocol. The limit is the cryptography and compression in it, and
//! nothing else.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use criterion::{BenchmarkId, Criterion, Throughput};
use peerage::{Bytes, Protocol, SecretKey, Server};
use peerage_bench::{KINDS, Limit, SIZES, race, time};
use tokio::{
    runtime::Runtime,
    sync::{Notify, mpsc},
};

fn main() {
    let mut criterion = peerage_bench::criterion();
    with_criterion(&mut criterion);
    criterion.final_summary();
    if peerage_bench::wants_tables() {
        table();
    }
}

/// Tells when so many messages have arrived.
#[derive(Default)]
struct Arrival {
    expected: AtomicU32,
    complete: Notify,
}

/// Two connected servers.
struct Way {
    runtime: Runtime,
    /// Sends so many messages with this payload.
    order: mpsc::UnboundedSender<(u32, Bytes)>,
    arrival: Arc<Arrival>,
    _servers: (Server, Server),
}

impl Way {
    fn new(runtime: Runtime) -> Self {
        let arrival = Arc::new(Arrival::default());
        let (order, orders) = mpsc::unbounded_channel::<(u32, Bytes)>();
        let servers = runtime.block_on(connect(arrival.clone(), orders));
        Self { runtime, order, arrival, _servers: servers }
    }

    /// Sends `n` messages and waits until the last one was received.
    fn send(&self, n: u32, payload: &Bytes) -> Duration {
        time(|| {
            self.arrival.expected.store(n, Ordering::Relaxed);
            self.order.send((n, payload.clone())).unwrap();
            self.runtime.block_on(self.arrival.complete.notified());
        })
    }
}

async fn connect(
    arrival: Arc<Arrival>,
    orders: mpsc::UnboundedReceiver<(u32, Bytes)>,
) -> (Server, Server) {
    let receiver = Protocol::new("bench", 1, 1, move |_, mut channel| {
        let arrival = arrival.clone();
        async move {
            let mut arrived = 0;
            while let Some(message) = channel.recv().await {
                black_box(message.payload);
                arrived += 1;
                if arrived == arrival.expected.load(Ordering::Relaxed) {
                    arrived = 0;
                    arrival.complete.notify_one();
                }
            }
            Ok(())
        }
    });
    let orders = Arc::new(tokio::sync::Mutex::new(orders));
    let sender = Protocol::new("bench", 1, 1, move |_, channel| {
        let orders = orders.clone();
        async move {
            let mut orders = orders.lock().await;
            while let Some((count, payload)) = orders.recv().await {
                for _ in 0..count {
                    channel.send(0, payload.clone()).await?;
                }
            }
            Ok(())
        }
    });
    let key = |n| SecretKey::from_bytes(&[n; 32]).unwrap();
    let receiving = Server::builder(key(1)).protocol(receiver);
    let receiving = receiving.listen("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
    let sending = Server::builder(key(2)).protocol(sender).static_node(receiving.local_node());
    (sending.start().await.unwrap(), receiving)
}

fn one_thread() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn two_threads() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Both ends of the limit.
struct Bare {
    ends: (Limit, Limit),
    frame: Vec<u8>,
    payload: Vec<u8>,
}

impl Bare {
    fn new(size: usize) -> Self {
        let frame = vec![0; Limit::room(size)];
        Self { ends: (Limit::new(), Limit::new()), frame, payload: vec![0; size] }
    }

    fn send(&mut self, n: u32, payload: &[u8]) -> Duration {
        time(|| {
            for _ in 0..n {
                self.ends.0.seal(black_box(payload), &mut self.frame);
                self.ends.1.open(black_box(&mut self.frame), &mut self.payload);
                black_box(&mut self.payload);
            }
        })
    }
}

fn with_criterion(criterion: &mut Criterion) {
    let way = Way::new(one_thread());
    let mut group = criterion.benchmark_group("loopback");
    for (kind, make) in KINDS {
        for (name, size) in SIZES {
            let payload = Bytes::from(make(size));
            group.throughput(Throughput::Bytes(size as u64));
            let parameter = format!("{name} {kind}");
            group.bench_function(BenchmarkId::new("peerage", &parameter), |bencher| {
                bencher.iter_custom(|n| way.send(u32::try_from(n).unwrap(), &payload));
            });
            let mut bare = Bare::new(size);
            group.bench_function(BenchmarkId::new("limit", &parameter), |bencher| {
                bencher.iter_custom(|n| bare.send(u32::try_from(n).unwrap(), &payload));
            });
        }
    }
    group.finish();
}

fn table() {
    let (one, two) = (Way::new(one_thread()), Way::new(two_threads()));
    println!(
        "\n{:<8} {:<13} {:>11} {:>11} {:>6} {:>11} {:>13}",
        "payload", "kind", "ours ns", "limit ns", "ratio", "msg/s", "2 thr. msg/s"
    );
    for (kind, make) in KINDS {
        for (name, size) in SIZES {
            let payload = Bytes::from(make(size));
            let mut bare = Bare::new(size);
            let (ours, limit) = race(|n| one.send(n, &payload), |n| bare.send(n, &payload));
            // Enough that filling and emptying the pipe does not count.
            let many = u32::try_from((64 << 20) / (size + 200)).unwrap();
            let on_two = (0..5).map(|_| two.send(many, &payload)).min().unwrap();
            println!(
                "{name:<8} {kind:<13} {ours:>11.0} {limit:>11.0} {:>6.2} {:>11.0} {:>13.0}",
                limit / ours,
                1e9 / ours,
                f64::from(many) / on_two.as_secs_f64(),
            );
        }
    }
}
