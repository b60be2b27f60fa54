//! FINDNODE answered by one server over loopback UDP, beside the signature operations of each:
//! recovering who asks, and signing the two NEIGHBORS packets with 16 nodes.
//!
//! `cargo bench -p peerage --bench findnode` ends with a table of both. The server has a thread of
//! its own; who asks sends packets made before, and only counts what comes back, so that it costs
//! little. Linux only: the processor time of both is read from `/proc`, so that other programs do
//! not count.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]
#![expect(clippy::disallowed_methods, reason = "packets expire at a time of the clock")]

use std::{
    hint::black_box,
    net::{SocketAddr, UdpSocket},
    sync::mpsc,
    time::{Duration, SystemTime},
};

use criterion::Criterion;
use peerage::{Node, SecretKey, Server};
use peerage_bench::time;
use peerage_discovery::v4::packet::{
    Endpoint, FindNode, Neighbors, Packet, Ping, Pong, Target, Token,
};
use peerage_machine::Random;
use peerage_node::RecoverableSignature;

/// Nodes that the server knows.
const NODES: u8 = 64;

/// Questions under way at a time: too few and the server waits, too many and the socket's buffer is
/// full.
const IN_FLIGHT: u32 = 16;

/// NEIGHBORS packets per question: 12 nodes, and 4.
const ANSWERS: u32 = 2;

/// Questions between two looks at the clock.
const ROUND: u32 = 500;

const ROUNDS: u32 = 41;

/// Somebody with a key and a socket.
struct Tester {
    key: SecretKey,
    socket: UdpSocket,
}

impl Tester {
    fn new(n: u8) -> Self {
        let mut bytes = [7; 32];
        bytes[0] = n;
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Self { key: SecretKey::from_bytes(&bytes).unwrap(), socket }
    }

    fn addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    fn node(&self) -> Node {
        Node::from_endpoint(*self.key.public(), self.addr(), None)
    }

    fn send(&self, to: SocketAddr, packet: &Packet) {
        self.socket.send_to(&packet.encode(&self.key).0, to).unwrap();
    }

    fn receive(&self) -> (SocketAddr, Packet, Token) {
        let mut buffer = [0; 2048];
        let (size, from) = self.socket.recv_from(&mut buffer).unwrap();
        let (packet, _, token) = Packet::decode(&buffer[..size]).unwrap();
        (from, packet, token)
    }

    /// Answers what a node of the table must, for ever.
    fn serve(&self) {
        loop {
            let (from, packet, token) = self.receive();
            match packet {
                Packet::Ping(_) => self.send(from, &pong(from, token)),
                Packet::FindNode(_) => {
                    let neighbors = Neighbors { nodes: Vec::new(), expiration: expiration() };
                    self.send(from, &Packet::Neighbors(neighbors));
                }
                _ => {}
            }
        }
    }

    /// Proves itself to the server.
    fn bond(&self, server: SocketAddr) {
        let endpoint = |addr: SocketAddr| Endpoint::new(addr, addr.port());
        self.send(
            server,
            &Packet::Ping(Ping {
                from: endpoint(self.addr()),
                to: endpoint(server),
                expiration: expiration(),
                seq: None,
            }),
        );
        loop {
            let (from, packet, token) = self.receive();
            if matches!(packet, Packet::Ping(_)) {
                return self.send(from, &pong(from, token));
            }
        }
    }

    /// Asks until the server tells of 16 live nodes, and does not speak of anything else any more.
    fn warm_up(&self, server: SocketAddr, question: &Packet) {
        self.socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut full = 0;
        while full < 20 {
            self.send(server, question);
            let mut told = 0;
            let mut buffer = [0; 2048];
            while let Ok((size, from)) = self.socket.recv_from(&mut buffer) {
                match Packet::decode(&buffer[..size]).unwrap() {
                    (Packet::Neighbors(neighbors), _, _) => told += neighbors.nodes.len(),
                    (Packet::Ping(_), _, token) => self.send(from, &pong(from, token)),
                    _ => {}
                }
            }
            full = if told == 16 { full + 1 } else { 0 };
        }
        self.socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
}

fn pong(to: SocketAddr, token: Token) -> Packet {
    Packet::Pong(Pong { to: Endpoint::new(to, 0), token, expiration: expiration(), seq: None })
}

fn find_node(random: &mut Random) -> Packet {
    Packet::FindNode(FindNode { target: Target(random.bytes()), expiration: expiration() })
}

/// In an hour.
fn expiration() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 3600
}

struct Contest {
    asking: Tester,
    server: SocketAddr,
    /// The server's thread, as a folder of `/proc`.
    thread: String,
    questions: Vec<Vec<u8>>,
    next: usize,
}

impl Contest {
    fn new() -> Self {
        let mut bootnodes = Vec::new();
        for n in 0..NODES {
            let tester = Tester::new(n);
            bootnodes.push(tester.node());
            std::thread::spawn(move || tester.serve());
        }
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let mut builder = Server::builder(SecretKey::from_bytes(&[9; 32]).unwrap())
                    .listen("127.0.0.1:0".parse().unwrap())
                    .discovery_only();
                for node in bootnodes {
                    builder = builder.bootnode(node);
                }
                let server = builder.start().await.unwrap();
                let thread = std::fs::read_link("/proc/thread-self").unwrap();
                let addr = server.local_node().udp_endpoints()[0];
                tell.send((addr, format!("/proc/{}", thread.display()))).unwrap();
                std::future::pending::<()>().await;
            });
        });
        let (server, thread) = told.recv().unwrap();
        let asking = Tester::new(255);
        asking.bond(server);
        let mut random = Random::from_seed([1; 32]);
        asking.warm_up(server, &find_node(&mut random));
        let questions = (0..64).map(|_| find_node(&mut random).encode(&asking.key).0).collect();
        Self { asking, server, thread, questions, next: 0 }
    }

    /// Asks `n` times, with many questions under way.
    fn ask(&mut self, n: u32) -> Duration {
        time(|| {
            let mut buffer = [0; 2048];
            let (mut asked, mut answered) = (0, 0);
            while answered < n * ANSWERS {
                while asked < n && asked * ANSWERS < answered + IN_FLIGHT * ANSWERS {
                    let question = &self.questions[self.next % self.questions.len()];
                    self.asking.socket.send_to(question, self.server).unwrap();
                    self.next += 1;
                    asked += 1;
                }
                let size = self.asking.socket.recv(&mut buffer).unwrap();
                // A NEIGHBORS packet; the server may check us, too, which nobody waits for.
                answered += u32::from(size > 98 && buffer[97] == 0x04);
            }
        })
    }

    /// Does what `n` answers cost at least: a recovery and two signatures each.
    fn signatures(&self, n: u32) {
        let (key, digest) = (&self.asking.key, [7; 32]);
        let signature = key.sign(&digest).to_bytes();
        for _ in 0..n {
            let signature = RecoverableSignature::from_bytes(black_box(signature));
            black_box(signature.recover(&digest).unwrap());
            for _ in 0..ANSWERS {
                black_box(key.sign(black_box(&digest)));
            }
        }
    }
}

/// How long a thread has run on a processor, whatever else did.
fn processor_time(thread: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("{thread}/schedstat")).unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

fn table(contest: &mut Contest) {
    let (mut walls, mut processor, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = processor_time(&contest.thread);
        walls.push(contest.ask(ROUND));
        processor.push(processor_time(&contest.thread) - before);
        let before = processor_time("/proc/thread-self");
        contest.signatures(ROUND);
        limits.push(processor_time("/proc/thread-self") - before);
    }
    let micros = |mut rounds: Vec<Duration>| {
        rounds.sort_unstable();
        rounds[rounds.len() / 2].as_secs_f64() * 1e6 / f64::from(ROUND)
    };
    let (wall, processor, limit) = (micros(walls), micros(processor), micros(limits));
    println!(
        "\n| FINDNODE answered/s | us each | us of the server's thread | signatures alone, us | the rest, us | \
         share of the limit |"
    );
    println!("|---|---|---|---|---|---|");
    println!(
        "| {:.0} | {wall:.1} | {processor:.1} | {limit:.1} | {:.1} | {:.2} |",
        1e6 / wall,
        processor - limit,
        limit / processor,
    );
}

fn main() {
    let mut criterion: Criterion = peerage_bench::criterion();
    // Made only when something is to be measured.
    let mut contest = None;
    criterion.bench_function("FINDNODE over loopback", |bencher| {
        let contest = contest.get_or_insert_with(Contest::new);
        bencher.iter_custom(|n| contest.ask(u32::try_from(n).unwrap()));
    });
    criterion.final_summary();
    if peerage_bench::wants_tables() {
        table(contest.get_or_insert_with(Contest::new));
    }
}
