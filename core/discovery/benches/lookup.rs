//! A cold lookup: a node that knows one other finds the nodes closest to a target, in virtual time
//! and with real signatures.
//!
//! `cargo bench -p peerage-discovery --bench lookup` ends with a table. Its times are those of the
//! node that looks; the limit is the signatures it made and the keys it recovered, and nothing
//! else. The others only answer, from tables that were filled before.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
    net::SocketAddr,
    time::Duration,
};

use criterion::Criterion;
use peerage_bench::time;
use peerage_discovery::{
    CLOSEST, Command, Config, Endpoint, Input, LookupTarget, Output, QueryId, v4::packet::Target,
};
use peerage_machine::{Instant, Machine as _, Now, Random};
use peerage_node::{Node, NodeId, RecoverableSignature, SecretKey, SelfDescription};

/// Nodes that are there to be found.
const NODES: u32 = 500;

/// Of every datagram: half a round trip across a continent.
const LATENCY: Duration = Duration::from_millis(25);

/// Of each of these, the median counts.
const ROUNDS: usize = 41;

struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

struct Net {
    now: Now,
    random: Random,
    nodes: BTreeMap<SocketAddr, Endpoint>,
    /// Where nobody answers, though others tell of it.
    dead: BTreeSet<SocketAddr>,
    boot: Node,
    /// The next address that nobody has had.
    next: u32,
}

/// What one lookup took.
struct Cost {
    /// Of the node that looks.
    ours: Duration,
    limit: Duration,
    virtual_time: Duration,
    queries: usize,
    /// Requests of the lookup, and the pings before them.
    requests: usize,
    sent: u64,
    received: u64,
    /// How many of the closest living nodes it found.
    hits: usize,
}

impl Net {
    /// Of every `dead_in` nodes, one is dead; 0 is none.
    fn new(dead_in: u32) -> Self {
        let mut random = Random::from_seed([1; 32]);
        let now = Now { mono: Instant::START, unix: Duration::from_secs(1_800_000_000) };
        let keys: Vec<_> = (0..NODES).map(|_| SecretKey::generate(&mut random)).collect();
        let known: Vec<_> = keys.iter().zip(0..).map(|(key, n)| node(key, addr(n))).collect();
        let mut nodes = BTreeMap::new();
        for (key, n) in keys.iter().zip(0..) {
            let mut endpoint = machine(key, addr(n), now, &mut random);
            // Each knows of the others in an order of its own.
            for at in 0..known.len() {
                let other = known[(at * 7 + n as usize * 31) % known.len()].clone();
                endpoint.handle_input(now, Command::AddNode(other).into());
            }
            while endpoint.poll_output().is_some() {}
            nodes.insert(addr(n), endpoint);
        }
        // Never the first, which is the boot node.
        let dead = (1..NODES).filter(|n| dead_in > 0 && n % dead_in == 1).map(addr).collect();
        let boot = known[0].clone();
        Self { now, random, nodes, dead, boot, next: NODES }
    }

    /// A node that is new here looks for a target.
    fn look_up(&mut self) -> Cost {
        const QUERY: QueryId = QueryId(1);
        let own = addr(self.next);
        self.next += 1;
        let key = SecretKey::generate(&mut self.random);
        let mut endpoint = machine(&key, own, self.now, &mut self.random);
        // The refresh at the start finds nothing to begin with, and comes back in 5 s: so all that
        // follows is for the lookup.
        endpoint.handle_timeout(self.now);
        let sought = *SecretKey::generate(&mut self.random).public();
        let (target, looked_for) = (Target::from(&sought), LookupTarget::Key(sought));
        let start = self.now;
        let mut ours = time(|| {
            endpoint.handle_input(start, Command::AddNode(self.boot.clone()).into());
            let command = Command::Lookup { version: None, id: QUERY, target: looked_for };
            endpoint.handle_input(start, command.into());
        });
        let mut flying = BTreeMap::new();
        let mut count = 0_u64;
        let mut send = |flying: &mut BTreeMap<_, _>, now: Now, datagram| {
            count += 1;
            flying.insert((now.mono + LATENCY, count), datagram);
        };
        let result = loop {
            let mut done = None;
            while let Some(output) = endpoint.poll_output() {
                match output {
                    Output::Send { to, bytes } => {
                        send(&mut flying, self.now, Datagram { from: own, to, bytes });
                    }
                    Output::LookupDone { result, .. } => done = Some(result),
                    _ => {}
                }
            }
            if let Some(done) = done {
                break done;
            }
            let arrives = flying.keys().next().map(|(at, _)| *at);
            let wakes = endpoint.poll_timeout().unwrap();
            let next = arrives.map_or(wakes, |at| at.min(wakes)).max(self.now.mono);
            self.now = self.now.later(next.saturating_since(self.now.mono));
            let now = self.now;
            if arrives != Some(next) {
                ours += time(|| endpoint.handle_timeout(now));
                continue;
            }
            let (_, Datagram { from, to, bytes }) = flying.pop_first().unwrap();
            let input = Input::Datagram { from, datagram: bytes.as_slice().into() };
            if to == own {
                ours += time(|| endpoint.handle_input(now, input));
            } else if let Some(other) = self.nodes.get_mut(&to).filter(|_| !self.dead.contains(&to))
            {
                other.handle_input(now, input);
                while let Some(output) = other.poll_output() {
                    if let Output::Send { to: back, bytes } = output {
                        send(&mut flying, now, Datagram { from: to, to: back, bytes });
                    }
                }
            }
        };
        let stats = *endpoint.v4().unwrap().stats();
        Cost {
            ours,
            limit: signatures(&key, stats.sent, stats.received),
            virtual_time: self.now.mono.saturating_since(start.mono),
            queries: result.queries,
            requests: result.packets,
            sent: stats.sent,
            received: stats.received,
            hits: self.closest(target.id()).iter().filter(|id| has(&result.closest, id)).count(),
        }
    }

    /// The living nodes that are really closest.
    fn closest(&self, target: NodeId) -> Vec<NodeId> {
        let living = self.nodes.iter().filter(|(addr, _)| !self.dead.contains(addr));
        let id = |it: &Endpoint| it.local_record().id();
        let mut ids: Vec<_> = living.map(|(_, it)| id(it)).collect();
        ids.sort_by(|a, b| target.cmp_distance(a, b));
        ids.truncate(CLOSEST);
        ids
    }
}

fn has(nodes: &[Node], id: &NodeId) -> bool {
    nodes.iter().any(|node| node.id() == *id)
}

/// How long so many signatures and recoveries take.
fn signatures(key: &SecretKey, signed: u64, recovered: u64) -> Duration {
    let digest = [7; 32];
    let signature = key.sign(&digest).to_bytes();
    time(|| {
        for _ in 0..signed {
            black_box(key.sign(black_box(&digest)));
        }
        for _ in 0..recovered {
            let signature = RecoverableSignature::from_bytes(black_box(signature));
            black_box(signature.recover(&digest).unwrap());
        }
    })
}

/// The `n`th node is alone in its subnet.
fn addr(n: u32) -> SocketAddr {
    SocketAddr::from(((0x0b00_0001 + n * 256).to_be_bytes(), 30303))
}

fn node(key: &SecretKey, addr: SocketAddr) -> Node {
    Node::from_endpoint(*key.public(), addr, None)
}

fn machine(key: &SecretKey, addr: SocketAddr, now: Now, random: &mut Random) -> Endpoint {
    let mut about = SelfDescription::new(key.clone());
    (about.tcp, about.udp) = (vec![addr], vec![addr]);
    let mut endpoint = Endpoint::new(Config::default(), about, 0, random.fork());
    endpoint.handle_input(now, Input::Seeds(Vec::new()));
    endpoint
}

const NETS: [(&str, u32); 2] = [("all live", 0), ("one in three dead", 3)];

fn with_criterion(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("cold lookup among {NODES} nodes"));
    for (name, dead_in) in NETS {
        group.bench_function(name, |bencher| {
            let mut net = Net::new(dead_in);
            bencher.iter_custom(|n| (0..n).map(|_| net.look_up().ours).sum());
        });
    }
    group.finish();
}

fn table() {
    println!(
        "\n| {NODES} nodes | its own work, ms | signatures alone, ms | share of the limit | virtual ms | nodes asked | \
         requests | packets sent | received | found of the {CLOSEST} closest |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, dead_in) in NETS {
        let mut net = Net::new(dead_in);
        let costs: Vec<_> = (0..ROUNDS).map(|_| net.look_up()).collect();
        let median = |of: &dyn Fn(&Cost) -> f64| {
            let mut values: Vec<_> = costs.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let millis = |span: Duration| span.as_secs_f64() * 1e3;
        let (ours, limit) = (median(&|it| millis(it.ours)), median(&|it| millis(it.limit)));
        println!(
            "| {name} | {ours:.2} | {limit:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} |",
            limit / ours,
            median(&|it| millis(it.virtual_time)),
            median(&|it| it.queries as f64),
            median(&|it| it.requests as f64),
            median(&|it| it.sent as f64),
            median(&|it| it.received as f64),
            costs.iter().map(|it| it.hits as f64).sum::<f64>() / costs.len() as f64,
        );
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
