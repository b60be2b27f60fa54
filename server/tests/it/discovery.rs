//! Servers that find each other, over UDP on loopback.

use peerage::{
    DiscoveryConfig, DiscoveryError, Event, Events, LookupTarget, Node, NodeId, Server, StartError,
};
use tokio::net::UdpSocket;

use crate::common::*;

/// A boot node: discovery, and nothing else.
async fn boot_node(n: u8) -> Server {
    listening(n).discovery_only().start().await.unwrap()
}

/// Waits until everybody in `ids` is a peer, or was one.
async fn connected(server: &Server, ids: &[NodeId]) {
    let mut events = server.subscribe();
    loop {
        let peers: Vec<_> = server.peers().iter().map(|peer| peer.id).collect();
        if ids.iter().all(|id| peers.contains(id)) {
            return;
        }
        events.next().await.expect("because the server runs");
    }
}

/// Waits for a node to come into the table.
async fn discovered(events: &mut Events, id: NodeId) -> Node {
    loop {
        match events.next().await.expect("because the server runs") {
            Event::NodeAdded { node, .. } if node.id() == id => return node,
            _ => {}
        }
    }
}

/// Whether a node has answered a check of the table.
async fn is_live(server: &Server, id: NodeId) -> bool {
    server.table().await.iter().any(|entry| entry.node.id() == id && entry.is_live)
}

#[tokio::test]
async fn three_servers_that_know_a_boot_node_connect_to_each_other() {
    let boot = boot_node(1).await;
    assert_eq!(boot.listen_addr(), None);
    let mut servers = Vec::new();
    for n in 2..=4 {
        let server = listening(n).protocol(echo()).bootnode(boot.local_node());
        servers.push(server.start().await.unwrap());
    }
    let ids: Vec<_> = servers.iter().map(|server| server.local_node().id()).collect();
    for server in &servers {
        let own = server.local_node().id();
        let others: Vec<_> = ids.iter().copied().filter(|id| *id != own).collect();
        connected(server, &others).await;
        assert_eq!(server.discovery_addr(), server.listen_addr());
    }
    assert_eq!(boot.peer_count(), 0);
}

#[tokio::test]
async fn a_server_answers_pings_requests_and_lookups_of_another() {
    let boot = boot_node(1).await;
    let other = listening(2).bootnode(boot.local_node()).dialing(false).start().await.unwrap();
    let mut events = boot.subscribe();
    if !boot.table().await.iter().any(|entry| entry.node.id() == other.local_node().id()) {
        discovered(&mut events, other.local_node().id()).await;
    }
    let asking = Server::builder(key(3)).discovery(DiscoveryConfig::default()).dialing(false);
    let asking = asking.start().await.unwrap();
    let pong = asking.ping_v4(boot.local_node()).await.unwrap();
    assert_eq!(Some(pong.from), boot.discovery_addr());
    assert_eq!(pong.seq, boot.local_node().record().map(|record| record.seq()));
    let ours = asking.discovery_addr().unwrap().port();
    assert_eq!(pong.our_endpoint.unwrap().port(), ours);
    let record = asking.request_record(boot.local_node()).await.unwrap();
    assert_eq!(Some(&record), boot.local_node().record());

    asking.add_node(boot.local_node());
    let mut lookup = asking.lookup(LookupTarget::Key(*key(2).public())).unwrap();
    let mut asked = Vec::new();
    while let Some(step) = lookup.step().await {
        asked.push(step.asked.id());
    }
    let result = lookup.finish().await.unwrap();
    assert_eq!(result.queries, asked.len());
    assert!(asked.contains(&boot.local_node().id()));
    assert!(result.packets > 0);

    let found = asking.resolve(Node::new(*key(2).public())).await.unwrap();
    assert_eq!(found.map(|node| node.id()), Some(other.local_node().id()));
}

#[tokio::test]
async fn a_net_restriction_that_is_set_holds_for_discovery_too() {
    let server = boot_node(1).await;
    let asking = Server::builder(key(2)).discovery(DiscoveryConfig::default());
    let asking = asking.start().await.unwrap();
    let mut events = server.subscribe();
    asking.ping_v4(server.local_node()).await.unwrap();
    let known = discovered(&mut events, asking.local_node().id()).await;
    server.set_net_restrict(Some("10.0.0.0/8".parse().unwrap()));
    loop {
        let event = events.next().await.expect("because the server runs");
        if matches!(event, Event::NodeDropped { id, .. } if id == known.id()) {
            break;
        }
    }
    assert_eq!(asking.ping_v4(server.local_node()).await, Err(DiscoveryError::NoAnswer));
}

#[tokio::test]
async fn garbage_and_errors_of_the_network_do_not_end_discovery() {
    let server = boot_node(1).await;
    let address = server.discovery_addr().unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for size in [0, 1, 97, 98, 1280, 1281, 9_000] {
        stranger.send_to(&vec![0xa5; size], address).await.unwrap();
    }
    // Nobody is there, which the system may report to the socket.
    assert_eq!(server.ping_v4(nobody(3).await).await, Err(DiscoveryError::NoAnswer));
    let asking = Server::builder(key(2)).discovery(DiscoveryConfig::default());
    let asking = asking.start().await.unwrap();
    asking.ping_v4(server.local_node()).await.unwrap();
}

#[tokio::test]
async fn a_bad_boot_node_is_no_reason_not_to_start_or_to_find_a_good_one() {
    let boot = boot_node(1).await;
    let port = boot.discovery_addr().unwrap().port();
    let url = |host: &str, n| format!("enode://{}@{host}:{port}", key(n).public()).parse().unwrap();
    let server = Server::builder(key(2))
        .bootnode(Node::new(*key(8).public()))
        .bootnode(url("no-such-name.invalid", 9))
        .bootnode(url("localhost", 1));
    let server = server.start().await.unwrap();
    let mut events = server.subscribe();
    discovered(&mut events, boot.local_node().id()).await;
}

#[tokio::test]
async fn without_discovery_no_datagram_port_is_open_and_nothing_is_answered() {
    let (protocol, mut sessions_there) = sessions();
    let quiet = listening(1).protocol(protocol).no_discovery().bootnode(nobody(3).await);
    let quiet = quiet.start().await.unwrap();
    assert_eq!((quiet.discovery_addr(), quiet.node_info().discovery), (None, None));
    // The port is free for somebody else.
    let _other = UdpSocket::bind(quiet.listen_addr().unwrap()).await.unwrap();
    assert_eq!(quiet.ping_v4(nobody(3).await).await, Err(DiscoveryError::Off));
    assert_eq!(quiet.lookup(LookupTarget::Random).unwrap_err(), DiscoveryError::Off);
    assert!(quiet.table().await.is_empty());
    // Static nodes and candidates are dialed all the same.
    let here = Server::builder(key(2)).protocol(sessions().0).start().await.unwrap();
    assert_eq!(here.discovery_addr(), None);
    here.candidates_wanted().await;
    here.add_candidate(quiet.local_node());
    assert_eq!(sessions_there.recv().await.unwrap().peer.id(), here.local_node().id());
}

#[tokio::test]
async fn a_busy_datagram_port_is_an_error_that_names_it() {
    // Where no other test takes a stream to: its port would be busy too.
    let taken = UdpSocket::bind("127.0.0.9:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = listening(1).discovery_listen(address).start().await.unwrap_err();
    assert!(matches!(error, StartError::UdpPortInUse { .. }), "{error}");
    assert!(error.to_string().contains(&format!("UDP port {}", address.port())), "{error}");
    let error = Server::builder(key(1)).listen(address).start().await.unwrap_err();
    assert!(matches!(error, StartError::UdpPortInUse { .. }), "{error}");
    drop(taken);
    let server = Server::builder(key(1)).listen(address).start().await.unwrap();
    server.stop().await;
    // Stopped, it has left both ports.
    UdpSocket::bind(address).await.unwrap();
    assert_eq!(server.ping_v4(nobody(3).await).await, Err(DiscoveryError::Stopped));
}

#[tokio::test]
async fn what_cannot_be_asked_is_said_at_once() {
    let server = boot_node(1).await;
    let error = server.ping_v4(Node::new(*key(2).public())).await.unwrap_err();
    assert_eq!(error, DiscoveryError::NoEndpoint);
    let nowhere = format!("enode://{}@no-such-name.invalid:30303", key(2).public());
    let error = server.request_record(nowhere.parse().unwrap()).await.unwrap_err();
    assert_eq!(error, DiscoveryError::NoEndpoint);
}

#[tokio::test]
async fn a_restarted_server_finds_its_network_without_the_boot_node() {
    let dir = tempfile::tempdir().unwrap();
    let boot = boot_node(1).await;
    let there = listening(2).protocol(echo()).dialing(false).bootnode(boot.local_node());
    let there = there.start().await.unwrap();
    let here = || listening(3).protocol(echo()).data_dir(dir.path());
    let first = here().bootnode(boot.local_node()).start().await.unwrap();
    connected(&first, &[there.local_node().id()]).await;
    while !is_live(&first, there.local_node().id()).await {
        // Only what has answered a check is kept; until then there is time for a round trip.
        first.ping_v4(there.local_node()).await.unwrap();
    }
    first.stop().await;
    boot.stop().await;
    let second = here().start().await.unwrap();
    connected(&second, &[there.local_node().id()]).await;
}

#[tokio::test]
async fn static_and_trusted_nodes_of_an_earlier_run_come_back_until_they_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let here = || Server::builder(key(1)).protocol(echo()).data_dir(dir.path()).limits(impatient());
    let there = listening(2).protocol(echo()).start().await.unwrap();
    let id = there.local_node().id();
    let run = here().start().await.unwrap();
    run.add_static(there.local_node());
    run.add_static(nobody(3).await);
    run.remove_static(key(3).public().id());
    run.stop().await;

    let run = here().start().await.unwrap();
    connected(&run, &[id]).await;
    assert!(run.peers()[0].is_static());
    run.remove_static(id);
    run.add_trusted(Node::new(*key(2).public()));
    run.stop().await;

    let run = here().start().await.unwrap();
    assert_eq!(run.peer_count(), 0);
    run.candidates_wanted().await;
    run.add_candidate(there.local_node());
    connected(&run, &[id]).await;
    assert!(run.peers()[0].is_trusted());
}
