//! Nodes across a bad link between network namespaces: they find each other, outlive what a link
//! does, and stop.
//!
//! Nobody else's code is needed, but the namespaces are.

use std::fs;
use std::time::{Duration, Instant};

use peerage_interop::{Link, Netns, Peerage, text};
use serde_json::json;

/// How long a connection that has timed out may keep its socket: the second to read our reason, on
/// a busy machine.
const CLOSED: Duration = Duration::from_secs(20);

/// A link as bad as a poor mobile network, and with the smallest packets that every IPv4 host must
/// take.
const BAD: [&str; 18] = [
    "--delay",
    "20",
    "--jitter",
    "15",
    "--loss",
    "5",
    "--duplicate",
    "5",
    "--reorder",
    "5",
    "--corrupt",
    "3",
    "--kilobits",
    "1000",
    "--mtu",
    "576",
    "--seed",
    "1",
];

/// Two namespaces, a boot node in the first, and a node in each.
struct World {
    link: Link,
    boot: Peerage,
    first: Peerage,
    second: Peerage,
    nets: [Netns; 2],
}

impl World {
    /// Two nodes that have found each other; `None` where there are no namespaces.
    fn connected(faults: &[&str]) -> Option<Self> {
        let nets = Netns::for_link()?;
        let link = Link::join(&nets[0], &nets[1], faults);
        let at = |ip| format!("{ip}:0");
        let boot = Peerage::run_at(&nets[0], &at(Link::FIRST), &["--bootnode"]);
        let known = boot.enode();
        let arguments = ["--echo", "demo/1/4", "--bootnodes", &known];
        let mut first = Peerage::run_at(&nets[0], &at(Link::FIRST), &arguments);
        let mut second = Peerage::run_at(&nets[1], &at(Link::SECOND), &arguments);
        assert_eq!(first.event("peer_added")["id"], second.id());
        assert_eq!(second.event("peer_added")["id"], first.id());
        Some(Self { link, boot, first, second, nets })
    }
}

#[test]
fn nodes_find_each_other_across_a_bad_link_and_say_goodbye() {
    let Some(World { link, boot, mut first, second, nets }) = World::connected(&BAD) else {
        return;
    };
    // Handshakes pass in both directions too, by hand. So many that each fault has its turn: one
    // packet in seventy is corrupted, and the nodes alone send a hundred.
    for _ in 0..6 {
        for (net, target) in [(&nets[1], first.enode()), (&nets[0], second.enode())] {
            let (pong, _) = Peerage::once(net, &["ping", "--json", &target]);
            assert!(pong.is_object(), "{pong}");
        }
    }
    assert!(second.stop().success);
    let dropped = first.event("peer_dropped");
    assert_eq!((&dropped["reason"], &dropped["by_us"]), (&json!("client_quitting"), &json!(false)));
    assert!(first.stop().success && boot.stop().success);
    let counts = link.end();
    for fault in ["seen", "lost", "duplicated", "reordered", "corrupted"] {
        assert!(counts[fault].as_u64().is_some_and(|count| count > 0), "{counts}");
    }
    println!("{counts}");
}

#[test]
fn a_connection_outlives_a_link_that_is_down_for_a_moment() {
    let Some(World { link, boot, mut first, second, nets: _nets }) = World::connected(&[]) else {
        return;
    };
    link.set("down");
    // What it says now goes nowhere; the system says it again once the link is up.
    assert!(second.stop().success, "a node whose link is down stops all the same");
    first.table();
    assert!(!first.has_said("peer_dropped"), "the link is not down");
    link.set("up");
    let dropped = first.event("peer_dropped");
    assert_eq!((&dropped["reason"], &dropped["by_us"]), (&json!("client_quitting"), &json!(false)));
    assert!(first.stop().success && boot.stop().success);
}

#[test]
fn peers_at_the_end_of_a_link_that_is_gone_time_out_and_leave_nothing_open() {
    let Some(World { link, boot, mut first, mut second, nets: _nets }) = World::connected(&[])
    else {
        return;
    };
    let connected = [files(&first), files(&second)];
    link.end();
    for (node, connected) in [(&mut first, connected[0]), (&mut second, connected[1])] {
        let dropped = node.event("peer_dropped");
        assert_eq!(dropped["by_us"], true, "{dropped}");
        println!("{} after {} ms", text(&dropped["why"]), dropped["duration_ms"]);
        // Its socket stays for the second that a peer has to read our reason; discovery goes on,
        // and asking it takes time.
        let deadline = Instant::now() + CLOSED;
        while files(node) >= connected {
            assert!(Instant::now() < deadline, "{connected} files are open, as with a peer");
            node.table();
        }
        println!("{connected} files open while connected, {} afterwards", files(node));
    }
    assert!(first.stop().success && second.stop().success && boot.stop().success);
}

/// How many files a node has open.
fn files(node: &Peerage) -> usize {
    fs::read_dir(format!("/proc/{}/fd", node.pid())).expect("because it runs").count()
}
