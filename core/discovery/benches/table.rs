//! What the table and its surroundings cost per packet, with 10,000 nodes known: all of it should
//! vanish beside the signature operations of that packet (tens of microseconds).
//!
//! `cargo bench -p peerage-discovery --bench table`

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use peerage_discovery::{Limiter, LimiterConfig, Lookup, Table, TableConfig};
use peerage_machine::{Instant, Random};
use peerage_node::{Node, NodeId, SecretKey};

const OWN: NodeId = NodeId([0x55; 32]);
const START: Instant = Instant::START;

/// Nodes each alone in its subnet.
fn nodes(count: u32) -> Vec<Node> {
    let mut random = Random::from_seed([1; 32]);
    (0..count)
        .map(|n| {
            let addr = ((0x0b00_0001 + n * 256).to_be_bytes(), 30303).into();
            Node::from_endpoint(*SecretKey::generate(&mut random).public(), addr, None)
        })
        .collect()
}

fn table(nodes: &[Node]) -> Table {
    let mut table = Table::new(OWN, TableConfig::default(), [2; 32]);
    for node in nodes {
        let _ = table.add_found(START, node.clone());
    }
    table
}

fn bench(criterion: &mut Criterion) {
    let nodes = nodes(10_000);
    let mut group = criterion.benchmark_group("table of 10,000 nodes told of");
    let mut full = table(&nodes);
    let mut at = (0..nodes.len()).cycle();
    let mut next = move || at.next().unwrap();

    group.bench_function("told of a node again", |bencher| {
        bencher.iter(|| full.add_found(START, nodes[next()].clone()));
    });
    group.bench_function("16 closest", |bencher| {
        bencher.iter(|| black_box(full.closest(&nodes[next()].id(), 16, false).len()));
    });
    group.bench_function("a check, answered", |bencher| {
        bencher.iter(|| {
            let now = full.next_check().unwrap();
            if let Some(node) = full.poll_check(now) {
                full.on_alive(now, &node.id(), None);
            }
        });
    });
    group.bench_function("a lookup, without packets", |bencher| {
        bencher.iter_batched(
            || nodes[next()].id(),
            |target| {
                let closest = |target: &NodeId| {
                    let entries = full.closest(target, 16, false);
                    entries.into_iter().map(|entry| entry.node().clone()).collect::<Vec<_>>()
                };
                let mut lookup = Lookup::new(OWN, target, closest(&target));
                while let Some(node) = lookup.poll_query() {
                    lookup.on_nodes(&node.id(), closest(&target));
                }
                lookup.queried()
            },
            BatchSize::SmallInput,
        );
    });
    let mut limiter = Limiter::new(LimiterConfig::default());
    let mut now = START;
    group.bench_function("limiter, a packet", |bencher| {
        bencher.iter(|| {
            now = now + Duration::from_micros(200);
            limiter.allow(now, nodes[next()].udp_endpoints()[0].ip())
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
