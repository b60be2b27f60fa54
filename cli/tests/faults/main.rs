//! A peer that is killed, or stands still, in the middle of what it says: the server that it talks
//! to goes on.
//!
//! The peer is a process; a proxy holds its stream at the byte where it is hit.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../common/mod.rs"]
mod common;
mod hold;

use std::{fs, time::Duration};

use common::Node as Process;
use hold::Hold;
use peerage::{
    Backoff, Bytes, DisconnectReason, Event, Events, Fault, Limits, LocalFault, Node, Protocol,
    SecretKey, Server, Timeouts,
};
use tokio::time::timeout;

/// What is said to the peer, which answers with the same: 16 MiB less one byte, as much as a
/// message can be.
const LARGE: usize = 0xff_ffff;

/// As much of it as cannot be compressed: with snappy's overhead it still fits into a frame.
const RANDOM: usize = 15 << 20;

/// How long any step may take: longer than every deadline of the server.
const DEADLINE: Duration = Duration::from_secs(30);

/// How the peer is hit.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hit {
    Kill,
    Stop,
}

fn key(n: u8) -> SecretKey {
    SecretKey::from_bytes(&[n; 32]).unwrap()
}

/// Two places for peers; one handshake at a time, and short deadlines.
async fn survivor() -> Server {
    let protocol = Protocol::new("demo", 1, 4, |_, mut channel| async move {
        let mut bytes = vec![0; LARGE];
        peerage_machine::Random::from_seed([1; 32]).fill(&mut bytes[..RANDOM]);
        channel.send(0, Bytes::from(bytes)).await?;
        while channel.recv().await.is_some() {}
        Ok(())
    });
    let timeouts = Timeouts::default()
        .with_handshake(Duration::from_secs(2))
        .with_ping_interval(Duration::from_millis(500))
        .with_idle(Duration::from_secs(3))
        .with_write(Duration::from_secs(3))
        .with_close(Duration::from_millis(500));
    // Of one slot for inbound peers and one handshake, whoever is hit holds all.
    let limits = Limits::default().with_max_peers(2).with_dial_ratio(2).with_max_handshakes(1);
    Server::builder(key(1))
        .listen("127.0.0.1:0".parse().unwrap())
        .no_discovery()
        .protocol(protocol)
        .timeouts(timeouts)
        .limits(limits)
        .start()
        .await
        .unwrap()
}

/// Limits under which a dial is repeated at once.
fn impatient() -> Limits {
    let base = Duration::from_millis(50);
    Limits::default().with_dial_history(base).with_static_backoff(Backoff::constant(base))
}

async fn next(events: &mut Events) -> Event {
    let event = timeout(DEADLINE, events.next()).await;
    event.expect("because every deadline is shorter").expect("because the server runs")
}

/// Hits a peer once it has sent its first packet and `after` bytes more (of which the first may be
/// missing), and sees that the server gets rid of it and lets another one in.
async fn hit(after: i64, how: Hit) {
    let server = survivor().await;
    let mut events = server.subscribe();
    let files = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = files();
    let mut proxy = Hold::start(server.listen_addr().unwrap(), after).await.unwrap();
    let here = Node::from_endpoint(*key(1).public(), proxy.addr, Some(0)).to_string();
    let dir = tempfile::tempdir().unwrap();
    let peer = Process::start(
        dir.path(),
        ["--discovery", "none", "--echo", "demo/1/4", "--static", &here],
    );
    timeout(DEADLINE, proxy.held.wait_for(|held| *held)).await.unwrap().unwrap();
    let is_peer = after > 10_000;
    assert_eq!(server.peer_count(), usize::from(is_peer));
    match how {
        Hit::Kill => {
            peer.signal("KILL");
            // What it has sent is still there; its end comes behind.
            proxy.release.send_replace(true);
        }
        // It is silent now, and so is the proxy.
        Hit::Stop => peer.signal("STOP"),
    }
    if is_peer {
        let fault = loop {
            if let Event::PeerDropped { fault, .. } = next(&mut events).await {
                break fault;
            }
        };
        match (how, fault) {
            (Hit::Kill, Fault::Local(LocalFault::Lost)) => {}
            (Hit::Stop, fault) if fault.reason() == DisconnectReason::Timeout => {}
            other => panic!("{other:?}"),
        }
    }

    // Another one finds the place free.
    let newcomer = Server::builder(key(2))
        .protocol(Protocol::new("demo", 1, 4, |_, mut channel| async move {
            while channel.recv().await.is_some() {}
            Ok(())
        }))
        .static_node(server.local_node())
        .limits(impatient())
        .start()
        .await
        .unwrap();
    loop {
        // Whoever was killed behind its whole Hello is a peer for a moment: what it has sent is
        // there.
        if let Event::PeerAdded { peer } = next(&mut events).await
            && peer.id == key(2).public().id()
        {
            break;
        }
    }
    newcomer.stop().await;
    drop((peer, proxy, newcomer));
    let closed = async {
        while files() > before {
            tokio::task::yield_now().await;
        }
    };
    let is_closed = timeout(DEADLINE, closed).await.is_ok();
    assert!(is_closed, "{} files are open, {before} were", files());
    timeout(DEADLINE, server.stop()).await.expect("a server that stops");
}

/// One after the other, as open files are counted.
#[tokio::test]
async fn a_peer_that_is_hit_anywhere_costs_the_server_its_place_for_a_moment_only() {
    for how in [Hit::Kill, Hit::Stop] {
        // In the middle of its auth, in the middle of its Hello, in the middle of 16 MiB.
        for after in [-100, 20, 6 << 20] {
            println!("{how:?} {after} bytes behind its first packet");
            hit(after, how).await;
        }
    }
}
