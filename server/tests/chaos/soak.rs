//! An hour's worth of connections through a chaos proxy.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use peerage::{Bytes, Event, Events, Node, NodeId, Protocol, Server, Slot, Timeouts};
use peerage_machine::Random;
use tokio::{runtime::Handle, time::timeout};

use super::{
    impatient, key,
    proxy::{Faults, TcpProxy},
};

/// An hour's worth of connections: a server with the default limits dials at most 50 at a time and
/// no node twice in 35 s; in a network where most are full it begins and takes one connection every
/// three seconds or so.
const CONNECTIONS: u64 = 1_200;

/// How long all of it may take: thirty times what it takes on two idle cores.
const DEADLINE: Duration = Duration::from_secs(300);

/// How much resident memory may grow from the first half of the connections to the end of the
/// second. 4 MiB are less than 7 KiB for each connection of that half.
const GROWTH: u64 = 4 << 20;

fn networks() -> [Faults; 7] {
    let base = Faults { split: 600, delay: Duration::from_millis(1), ..Faults::default() };
    [
        Faults { seed: 1, split: 7, ..Faults::default() },
        Faults { seed: 2, stall_in: 40, stall: Duration::from_millis(80), ..base },
        Faults { seed: 3, reset_in: 30, ..base },
        Faults { seed: 4, corrupt_in: 30, ..base },
        Faults { seed: 5, hole_in: 20, ..base },
        Faults { seed: 6, finish_in: 30, ..base },
        Faults {
            seed: 7,
            stall_in: 60,
            stall: Duration::from_millis(80),
            reset_in: 60,
            corrupt_in: 60,
            ..base
        },
    ]
}

/// What is open now, and how much memory there is.
#[derive(Clone, Copy, Debug)]
struct Held {
    tasks: usize,
    files: usize,
    memory: u64,
}

impl Held {
    fn now() -> Self {
        let pages: u64 = fs::read_to_string("/proc/self/statm")
            .unwrap()
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse().ok())
            .unwrap();
        Self {
            tasks: Handle::current().metrics().num_alive_tasks(),
            files: fs::read_dir("/proc/self/fd").unwrap().count(),
            memory: pages * 4_096,
        }
    }
}

fn timeouts() -> Timeouts {
    Timeouts::default()
        .with_handshake(Duration::from_secs(2))
        .with_ping_interval(Duration::from_millis(500))
        .with_idle(Duration::from_secs(2))
        .with_write(Duration::from_secs(2))
        .with_close(Duration::from_millis(500))
}

/// Sends a few messages, and sees that each comes back as it was; then it has had enough. Counts
/// what is wrong.
fn asking(n: u8, wrong: Arc<AtomicU64>) -> Protocol {
    let round = AtomicU64::new(u64::from(n) << 32);
    Protocol::new("echo", 1, 8, move |_, mut channel| {
        let seed = round.fetch_add(1, Ordering::Relaxed);
        let wrong = wrong.clone();
        async move {
            let mut random =
                Random::from_seed([seed.to_le_bytes(); 4].concat().try_into().unwrap());
            for code in 0..3 {
                let mut payload = vec![0; usize::try_from(random.below(20_000)).unwrap()];
                random.fill(&mut payload);
                channel.send(code, Bytes::from(payload.clone())).await?;
                // The connection may end at any moment.
                let Some(answer) = channel.recv().await else { return Ok(()) };
                if answer.code != code || answer.payload != payload {
                    wrong.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        }
    })
}

fn echo() -> Protocol {
    Protocol::new("echo", 1, 8, |_, mut channel| async move {
        while let Some(message) = channel.recv().await {
            channel.send(message.code, message.payload).await?;
        }
        Ok(())
    })
}

/// What the events of a server say, checked as they come.
struct Watched {
    events: Events,
    peers: BTreeMap<NodeId, ()>,
    added: u64,
    /// How many were dropped for what fault.
    dropped: BTreeMap<String, u64>,
}

impl Watched {
    fn of(server: &Server) -> Self {
        Self {
            events: server.subscribe(),
            peers: BTreeMap::new(),
            added: 0,
            dropped: BTreeMap::new(),
        }
    }

    async fn next(&mut self) -> bool {
        match self.events.next().await {
            Some(Event::PeerAdded { peer }) => {
                self.added += 1;
                assert_eq!((peer.slot, peer.inbound), (Slot::Inbound, true));
                assert!(self.peers.insert(peer.id, ()).is_none(), "two peers of one id");
            }
            Some(Event::PeerDropped { id, fault, .. }) => {
                *self.dropped.entry(fault.to_string()).or_default() += 1;
                assert!(self.peers.remove(&id).is_some(), "dropped without having been added");
            }
            Some(Event::Lagged { missed }) => panic!("{missed} events were missed"),
            Some(_) => {}
            None => return false,
        }
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hours_worth_of_connections_breaks_no_rule_and_leaks_nothing() {
    // What a runtime and a first server open once is not a leak.
    let warm = listening(99).start().await.unwrap();
    warm.stop().await;
    drop(warm);
    let before = Held::now();

    let there = listening(1).protocol(echo()).start().await.unwrap();
    let target = there.listen_addr().unwrap();
    let mut watched = Watched::of(&there);
    let wrong = Arc::new(AtomicU64::new(0));
    let (mut proxies, mut dialing) = (Vec::new(), Vec::new());
    for (n, faults) in (2_u8..).zip(networks()) {
        let proxy = TcpProxy::start(target, faults).await.unwrap();
        let at: SocketAddr = proxy.addr;
        let node = Node::from_endpoint(*key(1).public(), at, Some(0));
        let server = Server::builder(key(n))
            .protocol(asking(n, wrong.clone()))
            .limits(impatient())
            .timeouts(timeouts())
            .static_node(node);
        dialing.push(server.start().await.unwrap());
        proxies.push(proxy);
    }

    let streams = |proxies: &[TcpProxy]| -> u64 {
        proxies.iter().map(|proxy| proxy.counts.streams.load(Ordering::Relaxed)).sum()
    };
    let mut half = None;
    let run = async {
        while streams(&proxies) < CONNECTIONS {
            assert!(watched.next().await, "the server has stopped");
            assert!(there.peer_count() <= dialing.len());
            if half.is_none() && streams(&proxies) >= CONNECTIONS / 2 {
                half = Some(Held::now());
            }
        }
    };
    timeout(DEADLINE, run).await.expect("because so many connections take a minute at most");
    let full = Held::now();

    for server in &dialing {
        timeout(Duration::from_secs(10), server.stop()).await.expect("a server that stops");
    }
    timeout(Duration::from_secs(10), there.stop()).await.expect("a server that stops");
    while watched.next().await {}
    let dropped = std::mem::take(&mut watched.dropped);
    assert_eq!((watched.added, watched.peers.len()), (dropped.values().sum(), 0));
    assert_eq!(wrong.load(Ordering::Relaxed), 0, "messages that came back otherwise");
    // Else nothing of the above would mean anything.
    assert!(watched.added > CONNECTIONS / 5, "only {} came as far as messages", watched.added);
    let added = watched.added;

    let count = |of: fn(&super::proxy::Counts) -> &AtomicU64| -> u64 {
        proxies.iter().map(|proxy| of(&proxy.counts).load(Ordering::Relaxed)).sum()
    };
    let streams = streams(&proxies);
    let (resets, corruptions) = (count(|it| &it.resets), count(|it| &it.corruptions));
    let (holes, finishes) = (count(|it| &it.holes), count(|it| &it.finishes));
    let (stalls, pieces) = (count(|it| &it.stalls), count(|it| &it.pieces));
    assert!(holes > 0 && finishes > 20, "{holes} {finishes}");
    assert!(resets > 20 && corruptions > 20 && stalls > 20, "{resets} {corruptions} {stalls}");
    drop((proxies, dialing, there, watched));
    let after = settled(before).await;
    let half = half.unwrap();
    println!(
        "{streams} connections, {added} peers, in {pieces} pieces: {resets} reset, {corruptions} corrupted, {stalls} stalled, {holes} swallowed, {finishes} ended"
    );
    println!("dropped: {dropped:#?}");
    println!("before {before:?}\nhalf-way {half:?}\nall {full:?}\nafter {after:?}");
    assert_eq!((after.tasks, after.files), (before.tasks, before.files), "something was left");
    assert!(full.memory <= half.memory + GROWTH, "memory grows with the connections");
}

/// What is held once everything has ended that is about to, or at the deadline.
async fn settled(before: Held) -> Held {
    let end = async {
        loop {
            let now = Held::now();
            if (now.tasks, now.files) == (before.tasks, before.files) {
                return now;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), end).await.unwrap_or_else(|_| Held::now())
}

fn listening(n: u8) -> peerage::Builder {
    Server::builder(key(n))
        .listen("127.0.0.1:0".parse().unwrap())
        .no_discovery()
        .limits(impatient())
        .timeouts(timeouts())
}
