//! Static nodes of which only the key is known.

use peerage::{DiscoveryConfig, Event, Node, Server};

use crate::common::*;

#[tokio::test]
async fn a_static_node_given_by_its_key_alone_is_found_through_a_boot_node_and_connected() {
    let boot = listening(1).discovery_only().start().await.unwrap();
    let (protocol, mut there) = sessions();
    // Takes whoever comes, and dials nobody itself.
    let sought = listening(2).protocol(protocol).bootnode(boot.local_node()).dialing(false);
    let _sought = sought.start().await.unwrap();
    let node: Node = format!("enode://{}", key(2).public()).parse().unwrap();
    let seeking = Server::builder(key(3))
        .protocol(sessions().0)
        .discovery(DiscoveryConfig::default())
        .bootnode(boot.local_node())
        // No candidate is dialed: who is connected is static.
        .limits(impatient().with_max_peers(0))
        .static_node(node);
    let seeking = seeking.start().await.unwrap();
    assert_eq!(there.recv().await.unwrap().peer.id(), seeking.local_node().id());
}

#[tokio::test]
async fn without_discovery_a_static_node_given_by_its_key_alone_is_reported_and_tried_again() {
    let server = Server::builder(key(1)).limits(impatient()).start().await.unwrap();
    let mut events = server.subscribe();
    server.add_static(Node::new(*key(2).public()));
    for _ in 0..3 {
        let event = events.next().await.unwrap();
        let Event::DialFailed { id, why, retry_in: Some(_) } = event else { panic!("{event:?}") };
        assert_eq!((id, why), (key(2).public().id(), peerage::DialFailure::NoAddress));
    }
}
