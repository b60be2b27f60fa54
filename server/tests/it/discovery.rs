//! Servers that find each other, over UDP on loopback.

use peerage::{
    DiscoveryConfig, DiscoveryError, Event, Events, LookupTarget, MAX_TALK_REQUEST, Node, NodeId,
    Server, StartError, TalkRequest, Version,
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

/// A node that speaks these versions only, and takes no connections.
async fn speaking(n: u8, versions: &[Version]) -> Server {
    let server = listening(n).discovery_only().discovery_versions(versions.iter().copied());
    server.start().await.unwrap()
}

#[tokio::test]
async fn servers_with_v5_alone_find_each_other_and_connect() {
    let boot = speaking(1, &[Version::V5]).await;
    // What a boot node without TCP is named by in these days, in both forms.
    let by_url: Node = boot.local_node().enode_url().parse().unwrap();
    assert!(by_url.tcp_port().is_none() && by_url.enode_url().contains(":0?discport="));
    let by_record = boot.local_node();
    let mut servers = Vec::new();
    for (n, known) in [(2, by_url), (3, by_record.clone()), (4, by_record)] {
        let server = listening(n).protocol(echo()).bootnode(known);
        servers.push(server.discovery_versions([Version::V5]).start().await.unwrap());
    }
    let ids: Vec<_> = servers.iter().map(|server| server.local_node().id()).collect();
    for server in &servers {
        let own = server.local_node().id();
        let others: Vec<_> = ids.iter().copied().filter(|id| *id != own).collect();
        connected(server, &others).await;
        assert!(server.table().await.iter().all(|entry| entry.version == Version::V5));
        assert_eq!(server.ping_v4(boot.local_node()).await, Err(DiscoveryError::Off));
    }
}

#[tokio::test]
async fn a_version_that_is_off_is_not_answered_and_one_that_is_on_is() {
    for (on, off) in [(Version::V4, Version::V5), (Version::V5, Version::V4)] {
        let server = speaking(1, &[on]).await;
        let asking = Server::builder(key(2)).discovery(DiscoveryConfig::default());
        let asking = asking.start().await.unwrap();
        let pong = asking.ping_by(on, server.local_node()).await.unwrap();
        assert_eq!(Some(pong.from), server.discovery_addr());
        let silence = asking.ping_by(off, server.local_node()).await;
        assert_eq!(silence, Err(DiscoveryError::NoAnswer));
        // By whichever version answers.
        let record = asking.request_record(server.local_node()).await.unwrap();
        assert_eq!(Some(&record), server.local_node().record());
    }
}

#[tokio::test]
async fn a_server_of_discovery_only_needs_a_version_and_others_do_without() {
    let error = listening(1).discovery_only().discovery_versions([]).start().await.unwrap_err();
    assert!(matches!(error, StartError::NoVersion), "{error}");
    let server = listening(1).discovery_versions([]).start().await.unwrap();
    assert_eq!(server.discovery_addr(), None);
}

#[tokio::test]
async fn talkreqs_are_answered_by_the_handler_of_their_protocol() {
    let reversed = async |talk: TalkRequest| talk.request.into_iter().rev().collect();
    let builder = listening(1).discovery_only().talk_handler("reverse", reversed);
    let server = builder.start().await.unwrap();
    let asking = Server::builder(key(2)).discovery(DiscoveryConfig::default());
    let asking = asking.start().await.unwrap();
    let node = server.local_node();
    assert_eq!(asking.talk(node.clone(), "reverse", b"abc").await.unwrap(), b"cba");
    // A protocol that nobody speaks, and one that is spoken later and then no longer.
    assert_eq!(asking.talk(node.clone(), "later", b"abc").await.unwrap(), b"");
    let asker = asking.local_node().id();
    let who = move |talk: TalkRequest| async move {
        assert_eq!(talk.from, asker);
        talk.addr.port().to_be_bytes().to_vec()
    };
    server.set_talk_handler("later", who).unwrap();
    let port = asking.discovery_addr().unwrap().port();
    assert_eq!(asking.talk(node.clone(), "later", b"").await.unwrap(), port.to_be_bytes());
    server.remove_talk_handler("later");
    assert_eq!(asking.talk(node.clone(), "later", b"").await.unwrap(), b"");
    // Of a handler that panics nothing is heard, and others go on.
    server.set_talk_handler("panic", async |_| panic!("as a test wishes")).unwrap();
    assert_eq!(asking.talk(node.clone(), "panic", b"").await, Err(DiscoveryError::NoAnswer));
    assert_eq!(asking.talk(node.clone(), "reverse", b"ab").await.unwrap(), b"ba");
    // What does not fit into a packet is not sent.
    let long = vec![0; MAX_TALK_REQUEST];
    assert_eq!(asking.talk(node, "reverse", long).await, Err(DiscoveryError::RequestTooLong));
}

#[tokio::test]
async fn random_nodes_are_met_once_each_and_only_those_that_are_wanted() {
    let boot = boot_node(1).await;
    let mut others = Vec::new();
    let mut events = boot.subscribe();
    for n in 2..=6 {
        let other = listening(n).bootnode(boot.local_node()).dialing(false);
        others.push(other.start().await.unwrap());
    }
    for n in 2..=6 {
        let id = key(n).public().id();
        if !boot.table().await.iter().any(|entry| entry.node.id() == id) {
            discovered(&mut events, id).await;
        }
    }
    let asking = Server::builder(key(9)).bootnode(boot.local_node()).dialing(false);
    let asking = asking.start().await.unwrap();
    let unwanted = key(2).public().id();
    let walk = asking.random_nodes().filter(move |node| node.id() != unwanted).buffer(1);
    let mut nodes = walk.start().unwrap();
    let mut met = Vec::new();
    // All but the one that is not wanted; the boot node is one of them.
    while met.len() < 5 {
        met.push(nodes.next().await.unwrap().id());
    }
    let mut once = met.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), 5, "{met:?}");
    assert!(!met.contains(&unwanted));
    asking.stop().await;
    assert!(nodes.next().await.is_none());
    assert!(asking.random_nodes().start().is_err());
}

#[tokio::test]
async fn what_one_version_has_learned_is_where_the_other_begins() {
    let dir = tempfile::tempdir().unwrap();
    let other = boot_node(1).await;
    let server = listening(2).data_dir(dir.path()).bootnode(other.local_node());
    let server = server.discovery_versions([Version::V4]).start().await.unwrap();
    let id = other.local_node().id();
    while !is_live(&server, id).await {
        tokio::task::yield_now().await;
    }
    server.stop().await;
    // It knows nobody but what v4 has left.
    let server = listening(2).data_dir(dir.path()).discovery_versions([Version::V5]);
    let server = server.start().await.unwrap();
    while !is_live(&server, id).await {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.table().await[0].version, Version::V5);
}
