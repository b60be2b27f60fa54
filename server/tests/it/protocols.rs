//! Protocols: how they end, what they tell, and what a slow one costs.

use std::time::Duration;

use peerage::{
    Channel, Direction, DisconnectReason, Event, Peer, Protocol, ProtocolError, SendError, Server,
};
use tokio::time::timeout;

use crate::common::*;

#[tokio::test]
async fn the_end_of_a_protocol_ends_its_peer_with_the_reason_of_its_result() {
    type Case = (Result<(), ProtocolError>, DisconnectReason);
    let cases: [Case; 5] = [
        (Ok(()), DisconnectReason::ClientQuitting),
        (Err(DisconnectReason::UselessPeer.into()), DisconnectReason::UselessPeer),
        (Err(ProtocolError::invalid("no RLP")), DisconnectReason::BreachOfProtocol),
        (Err(ProtocolError::other("disk full")), DisconnectReason::SubprotocolReason),
        (Err(SendError::Closed.into()), DisconnectReason::SubprotocolReason),
    ];
    for (result, expected) in cases {
        let mut pair = pair().await;
        pair.there.end(result);
        let event = dropped(&mut pair.dialing_events).await;
        let Event::PeerDropped { reason, by_us, .. } = event else { panic!("{event:?}") };
        assert_eq!((reason, by_us), (expected, false));
        assert!(pair.here.channel.recv().await.is_none());
        assert_eq!(pair.here.channel.send(0, "").await, Err(SendError::Closed));
    }
}

#[tokio::test]
async fn a_panic_in_a_protocol_ends_its_peer_and_nothing_else() {
    let panicking = Protocol::new("test", 1, 8, |_, mut channel| async move {
        match channel.recv().await {
            Some(_) => panic!("on purpose"),
            None => Ok(()),
        }
    });
    let there = listening(1).protocol(panicking).start().await.unwrap();
    for n in [2, 3] {
        let (protocol, mut sessions) = sessions();
        let here = Server::builder(key(n)).protocol(protocol).start().await.unwrap();
        let mut events = here.subscribe();
        here.add_static(there.local_node());
        let session = sessions.recv().await.unwrap();
        session.channel.send(0, "").await.unwrap();
        let event = dropped(&mut events).await;
        let Event::PeerDropped { reason, .. } = event else { panic!("{event:?}") };
        assert_eq!(reason, DisconnectReason::SubprotocolReason);
    }
}

#[tokio::test]
async fn two_protocols_share_a_connection_and_end_together() {
    let (one, mut ones) = sessions_of("one");
    let (two, mut twos) = sessions_of("two");
    let there = listening(1).protocol(two).protocol(one).start().await.unwrap();
    let here = Server::builder(key(2)).protocol(echo());
    let here = here.protocol(sessions_of("one").0).protocol(sessions_of("two").0);
    let here = here.start().await.unwrap();
    here.add_static(there.local_node());
    let (one, mut two) = (ones.recv().await.unwrap(), twos.recv().await.unwrap());
    assert_eq!(one.peer.shared().len(), 2);
    assert_eq!(one.peer.capabilities().len(), 3);
    one.end(Ok(()));
    assert!(two.channel.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_slow_protocol_makes_its_peer_wait_and_costs_bounded_memory() {
    let (here, there) = tokio::io::duplex(1 << 16);
    let ((protocol, mut fast), (protocol_there, mut slow)) = (sessions(), sessions());
    let sending = Server::builder(key(1)).protocol(protocol).start().await.unwrap();
    let receiving = Server::builder(key(2)).protocol(protocol_there).start().await.unwrap();
    let (out, into) = tokio::join!(
        sending.connect_stream(here, Direction::Outbound(*key(2).public())),
        receiving.connect_stream(there, Direction::Inbound),
    );
    out.and(into).unwrap();
    let (fast, mut slow) = (fast.recv().await.unwrap(), slow.recv().await.unwrap());

    let payload = random(10_000);
    let mut sent = 0;
    // Time stands still while anything moves, so a second is over only when nothing does.
    let quiet = Duration::from_secs(1);
    while timeout(quiet, fast.channel.send(0, payload.clone())).await.is_ok() {
        sent += 1;
    }
    // 1 MiB at the receiver, twice 256 KiB at the sender, and what is on the way.
    assert!(sent * payload.len() < 2 << 20, "{sent} messages");
    for _ in 0..sent {
        assert_eq!(slow.channel.recv().await.unwrap().payload, payload);
    }
    timeout(quiet, fast.channel.send(0, payload)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_protocol_can_be_tested_with_no_network() {
    let (here, mut there) = Channel::pipe();
    let peer = Peer::without_network(*key(1).public());
    let running = tokio::spawn(echo().run(peer, here));
    there.send(3, "hello").await.unwrap();
    assert_eq!(there.recv().await.unwrap().payload, "hello");
    drop(there);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn information_and_attributes_of_protocols_are_told() {
    let protocol = echo()
        .attribute("echo", [0xc0])
        .node_info(|| serde_json::json!({ "depth": 3 }))
        .peer_info(|_| None);
    let there = listening(1).protocol(protocol).start().await.unwrap();
    let here = Server::builder(key(2)).protocol(echo()).start().await.unwrap();
    let mut events = there.subscribe();
    here.add_static(there.local_node());
    added(&mut events).await;
    assert_eq!(there.node_info().protocols["echo"]["depth"], 3);
    assert_eq!(there.peers()[0].protocols["echo"], "handshake");
    assert_eq!(here.node_info().protocols["echo"], "unknown");
    let node = there.local_node();
    assert_eq!(node.record().unwrap().get("echo"), Some(&[0xc0][..]));
    assert_eq!(there.node_info().enr.parse(), Ok(node));
}
