//! What an idle connection costs a server beside the kernel's share: resident memory per peer.
//!
//! `cargo bench -p peerage --bench idle`. The clients run in a child process, so that only the
//! server's end is measured. Not a Criterion benchmark: there is nothing to time.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]
#![expect(clippy::disallowed_methods, reason = "the benchmark runs itself as a child")]

use std::{io::BufRead as _, process::Stdio, time::Duration};

use peerage::{Limits, Node, Protocol, SecretKey, Server};

/// How many idle peers.
const PEERS: u16 = 2000;

/// The environment variable that makes a process the child: it holds the server's enode URL.
const CHILD: &str = "PEERAGE_IDLE_BENCH_DIALS";

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match std::env::var(CHILD) {
        Ok(url) => runtime.block_on(dial(&url.parse().unwrap())),
        // Benchmarks that are only listed or tried out have nothing to show here.
        Err(_) if !std::env::args().any(|argument| argument == "--bench") => {}
        Err(_) => runtime.block_on(serve()),
    }
}

fn silent() -> Protocol {
    Protocol::new("idle", 1, 1, |_, mut channel| async move {
        while channel.recv().await.is_some() {}
        Ok(())
    })
}

fn key(n: u16) -> SecretKey {
    let mut bytes = [1; 32];
    bytes[30..].copy_from_slice(&n.to_be_bytes());
    SecretKey::from_bytes(&bytes).unwrap()
}

async fn serve() {
    let limits = Limits::default().with_max_peers(usize::from(PEERS) * 2).with_dial_ratio(0);
    let server = Server::builder(key(u16::MAX))
        .protocol(silent())
        .limits(limits)
        .listen("127.0.0.1:0".parse().unwrap());
    let server = server.start().await.unwrap();
    let before = resident();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .env(CHILD, server.node_info().enode)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    for (after, what) in [(5, "after 5 s"), (35, "after 40 s and two pings each way")] {
        tokio::time::sleep(Duration::from_secs(after)).await;
        let (peers, now) = (server.peer_count(), resident());
        println!(
            "{peers} idle peers {what}: {before} KiB without, {now} KiB with: {:.2} KiB each",
            (now - before) as f64 / peers as f64
        );
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Connects as many servers of this process, says so, and stays.
async fn dial(node: &Node) {
    let mut servers = Vec::new();
    for n in 0..PEERS {
        let server = Server::builder(key(n)).protocol(silent()).start().await.unwrap();
        let mut events = server.subscribe();
        server.add_static(node.clone());
        // One after the other: how many connect at once must not matter here.
        events.next().await.unwrap();
        servers.push(server);
    }
    println!("ready");
    // Until the parent goes.
    let _ = std::io::stdin().lines().next();
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
