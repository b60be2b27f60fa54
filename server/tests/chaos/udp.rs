//! Discovery through a proxy that loses, doubles, reorders and changes datagrams.

use std::{sync::atomic::Ordering, time::Duration};

use peerage::{DiscoveryConfig, Event, Node, Server};
use tokio::time::timeout;

use super::{
    impatient, key,
    proxy::{Faults, UdpProxy},
};

#[tokio::test]
async fn nodes_find_each_other_through_a_network_that_loses_a_third_of_everything() {
    let there = Server::builder(key(11)).listen("127.0.0.1:0".parse().unwrap());
    let there = there.start().await.unwrap();
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
    let here = Server::builder(key(12))
        .listen("127.0.0.1:0".parse().unwrap())
        .discovery(DiscoveryConfig::default())
        .bootnode(node)
        .limits(impatient())
        .start()
        .await
        .unwrap();
    let mut events = here.subscribe();
    let found = async {
        while here.table().await.iter().all(|entry| !entry.is_live) {
            assert!(!matches!(events.next().await, None | Some(Event::Lagged { .. })));
        }
    };
    // A boot node that did not answer is asked again after five seconds, ten, twenty ...
    let _ = timeout(Duration::from_secs(90), found).await;
    let table = here.table().await;
    let counts = &proxy.counts;
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "{} datagrams: {} lost, {} doubled, {} changed",
        of(&counts.datagrams),
        of(&counts.losses),
        of(&counts.duplicates),
        of(&counts.corruptions)
    );
    assert!(table.iter().any(|entry| entry.node.id() == key(11).public().id()), "{table:?}");
    timeout(Duration::from_secs(10), here.stop()).await.expect("a server that stops");
    timeout(Duration::from_secs(10), there.stop()).await.expect("a server that stops");
}
