//! Candidates of several sources: which are dialed, which are not, and why.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use peerage::{
    Cause, DiscoveryConfig, Event, Events, Limits, LocalRecord, Node, NodeId, NotTaken, Protocol,
    Record, Server, Skip, Source, Unfit, Version,
};
use tokio::net::TcpListener;

use crate::common::*;

const OTHER: Unfit = Unfit("another network");

/// Whether a node says that it is of our network.
fn of_ours(record: &Record) -> Result<(), Unfit> {
    if record.get("net") == Some(&[1]) { Ok(()) } else { Err(OTHER) }
}

/// A protocol whose nodes say of which network they are.
fn of_net(net: u8, protocol: Protocol) -> Protocol {
    protocol.attribute("net", [net])
}

/// A node of network `net`, by its record.
fn recorded(n: u8, net: u8, at: SocketAddr) -> Node {
    let mut local = LocalRecord::new(key(n), 0);
    local.set_attribute("net", vec![net]).unwrap();
    local.set_ip4(Some([127, 0, 0, 1].into())).unwrap();
    local.set_tcp4(Some(at.port())).unwrap();
    Node::from_record(local.record().clone())
}

/// What has to come, and would not if something were broken.
async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("because nothing is broken")
}

/// The next candidate that is not taken.
async fn skipped(events: &mut Events) -> (NodeId, Source, Cause<Skip>) {
    loop {
        let event = in_time(events.next()).await.expect("because the server runs");
        if let Event::CandidateSkipped { id, source, cause } = event {
            return (id, source, cause);
        }
    }
}

fn id(n: u8) -> NodeId {
    key(n).public().id()
}

#[tokio::test]
async fn a_node_of_another_network_is_not_dialed_and_why_can_be_asked() {
    let server = Server::builder(key(1)).candidate_filter(of_ours).start().await.unwrap();
    let mut events = server.subscribe();
    let ours = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    server.add_candidate(recorded(2, 2, other.local_addr().unwrap()));
    server.add_candidate(recorded(3, 1, ours.local_addr().unwrap()));
    assert_eq!(skipped(&mut events).await, (id(2), Source::USER, Cause::Unfit(OTHER)));
    // Whoever answers there is not the node. A dial that came before this one has ended, too.
    drop(in_time(ours.accept()).await.unwrap());
    in_time(dial_failure(&mut events)).await;
    assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let why = server.why_not_taken(id(2)).await.unwrap();
    assert_eq!((why.source, why.cause), (Source::USER, Cause::Unfit(OTHER)));
    assert_eq!(server.why_not_taken(id(3)).await, None);
    server.stop().await;
    assert_eq!(server.why_not_taken(id(2)).await, None);
}

#[tokio::test]
async fn a_node_without_a_record_is_asked_for_it_first() {
    let (protocol, mut sessions_there) = sessions();
    let ours = listening(1).protocol(of_net(1, protocol)).dialing(false).start().await.unwrap();
    let other = listening(2).protocol(of_net(2, echo())).dialing(false).start().await.unwrap();
    let here = Server::builder(key(3))
        .protocol(sessions().0)
        .discovery(DiscoveryConfig::default())
        .candidate_filter(of_ours);
    let here = here.start().await.unwrap();
    let mut events = here.subscribe();
    // As they are known from an enode URL.
    let bare = |n: u8, server: &Server| {
        Node::from_endpoint(*key(n).public(), server.listen_addr().unwrap(), None)
    };
    here.add_candidate(bare(2, &other));
    assert_eq!(skipped(&mut events).await, (id(2), Source::USER, Cause::Unfit(OTHER)));
    here.add_candidate(nobody(4).await);
    assert_eq!(skipped(&mut events).await, (id(4), Source::USER, Cause::NoRecord));
    here.add_candidate(bare(1, &ours));
    assert_eq!(in_time(sessions_there.recv()).await.unwrap().peer.id(), id(3));
    assert_eq!(other.peer_count(), 0);
}

#[tokio::test]
async fn without_discovery_nobody_can_be_asked_for_a_record() {
    let server = Server::builder(key(1)).candidate_filter(of_ours).start().await.unwrap();
    let mut events = server.subscribe();
    server.add_candidate(nobody(2).await);
    assert_eq!(skipped(&mut events).await, (id(2), Source::USER, Cause::NoRecord));
}

#[tokio::test]
async fn what_discovery_finds_of_another_network_is_not_dialed_and_why_can_be_asked() {
    // A node that v4 finds is asked for its record first; v5 finds records.
    let sources = [(Version::V4, Source::DISCOVERY_V4), (Version::V5, Source::DISCOVERY_V5)];
    for (version, source) in sources {
        let boot = listening(1).discovery_only().start().await.unwrap();
        let bootnode = boot.local_node();
        let node = |n, net, protocol| {
            listening(n)
                .protocol(of_net(net, protocol))
                .bootnode(bootnode.clone())
                .discovery_versions([version])
                .dialing(false)
        };
        let (protocol, mut sessions_there) = sessions();
        let _ours = node(2, 1, protocol).start().await.unwrap();
        let other = node(3, 2, echo()).start().await.unwrap();
        let here = listening(4).protocol(sessions().0).bootnode(boot.local_node());
        let here =
            here.discovery_versions([version]).candidate_filter(of_ours).start().await.unwrap();
        assert_eq!(in_time(sessions_there.recv()).await.unwrap().peer.id(), id(4));
        let why = in_time(async {
            loop {
                match here.why_not_taken(id(3)).await {
                    Some(NotTaken { cause: Cause::Waiting, .. }) | None => {}
                    Some(why) => break why,
                }
                // Until it is found and asked there is time for a round trip.
                here.ping_by(version, other.local_node()).await.unwrap();
            }
        });
        let why = why.await;
        assert_eq!((why.source, why.cause), (source, Cause::Unfit(OTHER)));
        assert_eq!(other.peer_count(), 0);
    }
}

#[tokio::test]
async fn a_source_of_ones_own_is_asked_heard_and_told_why() {
    let (protocol, mut sessions_there) = sessions();
    let there = listening(1).protocol(protocol).start().await.unwrap();
    let here = Server::builder(key(2)).protocol(sessions().0).start().await.unwrap();
    let mut events = here.subscribe();
    let source = here.candidate_source("mine");
    assert_eq!(source.source(), Source::new("mine"));
    assert!(in_time(source.wanted()).await > 0);
    source.offer(here.local_node());
    let expected = (id(2), source.source(), Cause::Skipped(Skip::OwnNode));
    assert_eq!(skipped(&mut events).await, expected);
    source.offer(there.local_node());
    // Once is enough.
    here.add_candidate(there.local_node());
    let expected = (id(1), Source::USER, Cause::Duplicate { of: source.source() });
    assert_eq!(skipped(&mut events).await, expected);
    assert_eq!(in_time(sessions_there.recv()).await.unwrap().peer.id(), id(2));
    here.stop().await;
    assert_eq!(in_time(source.wanted()).await, 0);
}

#[tokio::test]
async fn a_source_that_is_dropped_leaves_nothing_behind_unless_another_handle_is_there() {
    // Nothing is wanted, so that all waits.
    let limits = Limits::default().with_max_peers(0);
    let server = Server::builder(key(1)).limits(limits).start().await.unwrap();
    let mut events = server.subscribe();
    let (first, second) = (server.candidate_source("mine"), server.candidate_source("mine"));
    first.offer(nobody(2).await);
    let cause = async || server.why_not_taken(id(2)).await.map(|it| (it.source, it.cause));
    assert_eq!(cause().await, Some((first.source(), Cause::Waiting)));
    drop(first);
    assert_eq!(cause().await, Some((second.source(), Cause::Waiting)));
    let source = second.source();
    drop(second);
    assert_eq!(skipped(&mut events).await, (id(2), source, Cause::SourceGone));
    assert_eq!(cause().await, Some((source, Cause::SourceGone)));
    // And may come again.
    let again = server.candidate_source("mine");
    again.offer(nobody(2).await);
    assert_eq!(cause().await, Some((source, Cause::Waiting)));
}

#[tokio::test]
async fn a_handle_of_a_source_that_is_there_hears_what_is_wanted_already() {
    let server = Server::builder(key(1)).start().await.unwrap();
    let wanted = in_time(server.candidates_wanted()).await;
    let other = server.candidate_source(Source::USER.name());
    assert_eq!(in_time(other.wanted()).await, wanted);
    // The user remains a source without it.
    drop(other);
    let mut events = server.subscribe();
    server.add_candidate(server.local_node());
    let expected = (id(1), Source::USER, Cause::Skipped(Skip::OwnNode));
    assert_eq!(skipped(&mut events).await, expected);
}

#[tokio::test]
async fn a_filter_that_panics_refuses_and_ends_nothing() {
    let server = Server::builder(key(1)).candidate_filter(|_| panic!("as a test wishes"));
    let server = server.start().await.unwrap();
    let mut events = server.subscribe();
    server.add_candidate(recorded(2, 1, ([127, 0, 0, 1], 1).into()));
    let (_, _, cause) = skipped(&mut events).await;
    assert_eq!(cause, Cause::Unfit(Unfit("the filter panicked")));
    assert!(!server.is_stopped());
}
