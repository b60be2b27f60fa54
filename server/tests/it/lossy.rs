//! Discovery through a proxy that loses, doubles, reorders and changes datagrams.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use peerage::{DiscoveryConfig, Node};
use tokio::time::timeout;

use crate::common::*;

#[path = "../chaos/proxy.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod proxy;

use proxy::{Faults, UdpProxy};

#[tokio::test]
async fn nodes_find_each_other_through_a_network_that_loses_a_third_of_everything() {
    let there = listening(11).protocol(echo()).start().await.unwrap();
    let port = there.local_node().udp_port().unwrap();
    let faults = Faults {
        seed: 7,
        delay: Duration::from_millis(30),
        lose_in: 3,
        duplicate_in: 4,
        corrupt_in: 10,
        ..Faults::default()
    };
    let proxy = UdpProxy::start(([127, 0, 0, 1], port).into(), faults).await.unwrap();
    let tcp = there.listen_addr().unwrap();
    let node = Node::from_endpoint(*key(11).public(), tcp, Some(proxy.addr.port()));
    // Known to nobody but the boot node, which is reached by the proxy only.
    let other = listening(13).protocol(echo()).bootnode(there.local_node());
    let other = other.limits(impatient()).start().await.unwrap();
    let here = listening(12)
        .protocol(echo())
        .discovery(DiscoveryConfig::default())
        .bootnode(node)
        .limits(impatient())
        .start()
        .await
        .unwrap();
    let mut events = here.subscribe();
    let found = async { while added(&mut events).await.id != key(13).public().id() {} };
    // What is lost is asked for again after five seconds, ten, twenty ...
    let found = timeout(Duration::from_secs(120), found).await;
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (lost, all) = (of(&proxy.counts.losses), of(&proxy.counts.datagrams));
    println!("{all} datagrams, {lost} lost, {} changed", of(&proxy.counts.corruptions));
    assert!(found.is_ok() && all > lost, "they have not found each other");
    for server in [here, other, there] {
        server.stop().await;
    }
}
