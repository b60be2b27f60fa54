//! Who is let in, over real connections: the decisions themselves are tested in `peerage-peering`.

use peerage::{
    DialFailure, DisconnectReason, Event, Fault, Forbidden, Limits, LocalFault, Node, Refusal,
    Server, Slot,
};

use crate::common::*;

fn full() -> Limits {
    impatient().with_max_peers(0)
}

fn rejected(reason: DisconnectReason) -> DialFailure {
    DialFailure::Handshake(Fault::Remote(reason))
}

#[tokio::test]
async fn a_static_node_connects_to_a_full_server_that_named_it() {
    let there = listening(1).protocol(echo()).start().await.unwrap();
    let here = Server::builder(key(2)).protocol(echo()).limits(full()).start().await.unwrap();
    let mut events = here.subscribe();
    here.add_static(there.local_node());
    let peer = added(&mut events).await;
    assert!(peer.is_static() && !peer.inbound, "{peer:?}");
}

#[tokio::test]
async fn a_full_server_says_so_and_lets_a_trusted_node_in() {
    let there = listening(1).protocol(echo()).limits(full()).start().await.unwrap();
    let here = Server::builder(key(2)).protocol(echo()).limits(impatient()).start().await.unwrap();
    let (mut events, mut events_there) = (here.subscribe(), there.subscribe());
    here.add_static(there.local_node());
    assert_eq!(dial_failure(&mut events).await, rejected(DisconnectReason::TooManyPeers));
    there.add_trusted(here.local_node());
    assert_eq!(added(&mut events_there).await.slot, Slot::Trusted);
    added(&mut events).await;
}

#[tokio::test]
async fn trust_changes_the_slot_of_a_connected_peer_and_not_its_connection() {
    let mut pair = pair().await;
    let id = pair.dialing.local_node().id();
    for (trusted, expected) in [(true, Slot::Trusted), (false, Slot::Inbound)] {
        match trusted {
            true => pair.listening.add_trusted(Node::new(*key(2).public())),
            false => pair.listening.remove_trusted(id),
        }
        loop {
            let event = pair.listening_events.next().await.unwrap();
            if let Event::SlotChanged { id: whose, slot, .. } = event {
                assert_eq!((whose, slot), (id, expected));
                break;
            }
        }
        assert_eq!(pair.there.peer.slot(), expected);
    }
    pair.here.channel.send(0, "alive").await.unwrap();
    assert_eq!(pair.there.channel.recv().await.unwrap().payload, "alive");
}

#[tokio::test]
async fn removing_a_static_node_disconnects_it_and_says_why() {
    let mut pair = pair().await;
    pair.dialing.remove_static(pair.listening.local_node().id());
    let (here, there) =
        (dropped(&mut pair.dialing_events).await, dropped(&mut pair.listening_events).await);
    let Event::PeerDropped { fault, by_us: true, .. } = here else { panic!("{here:?}") };
    assert_eq!(fault, Fault::Local(LocalFault::Disconnected(DisconnectReason::Requested)));
    let Event::PeerDropped { fault, by_us: false, .. } = there else { panic!("{there:?}") };
    assert_eq!(fault, Fault::Remote(DisconnectReason::Requested));
    assert_eq!((pair.dialing.peer_count(), pair.listening.peer_count()), (0, 0));
}

#[tokio::test]
async fn a_disconnected_node_hears_the_reason() {
    let mut pair = pair().await;
    let id = pair.dialing.local_node().id();
    pair.listening.disconnect(id, DisconnectReason::UselessPeer);
    let event = dropped(&mut pair.dialing_events).await;
    let Event::PeerDropped { reason, .. } = event else { panic!("{event:?}") };
    assert_eq!(reason, DisconnectReason::UselessPeer);
    assert!(pair.here.channel.recv().await.is_none());
}

#[tokio::test]
async fn without_a_capability_in_common_both_ends_say_useless() {
    let there = listening(1).protocol(sessions_of("one").0).start().await.unwrap();
    let here = Server::builder(key(2)).protocol(sessions_of("other").0);
    let here = here.start().await.unwrap();
    let mut events = here.subscribe();
    here.add_static(there.local_node());
    let DialFailure::Handshake(fault) = dial_failure(&mut events).await else { panic!() };
    assert_eq!(fault.reason(), DisconnectReason::UselessPeer);
}

#[tokio::test]
async fn an_address_outside_the_net_restriction_is_refused_without_a_byte() {
    let there = listening(1).net_restrict("10.0.0.0/8".parse().unwrap()).start().await.unwrap();
    let mut refusals = there.subscribe();
    let here = Server::builder(key(2)).start().await.unwrap();
    let mut events = here.subscribe();
    here.add_static(there.local_node());
    let lost = Fault::Local(LocalFault::Lost);
    assert_eq!(dial_failure(&mut events).await, DialFailure::Handshake(lost));
    let event = refusals.next().await.unwrap();
    let Event::Refused { why, .. } = event else { panic!("{event:?}") };
    assert_eq!(why, Refusal::Forbidden(Forbidden::NetRestricted));
}

#[tokio::test]
async fn a_net_restriction_ends_and_refuses_connections_from_when_it_is_set_until_it_is_lifted() {
    let mut pair = pair().await;
    pair.listening.set_net_restrict(Some("10.0.0.0/8".parse().unwrap()));
    let there = dropped(&mut pair.dialing_events).await;
    let Event::PeerDropped { fault, by_us: false, .. } = there else { panic!("{there:?}") };
    assert_eq!(fault, Fault::Remote(DisconnectReason::Requested));
    assert!(pair.there.channel.recv().await.is_none());
    loop {
        // The other end dials again and again.
        let event = pair.listening_events.next().await.unwrap();
        if let Event::Refused { why, .. } = event {
            assert_eq!(why, Refusal::Forbidden(Forbidden::NetRestricted));
            break;
        }
    }
    pair.listening.set_net_restrict(None);
    added(&mut pair.listening_events).await;
}

#[tokio::test]
async fn a_net_restriction_that_is_set_holds_for_dials_too() {
    let mut pair = pair().await;
    pair.dialing.set_net_restrict(Some("10.0.0.0/8".parse().unwrap()));
    let here = dropped(&mut pair.dialing_events).await;
    let Event::PeerDropped { fault, by_us: true, .. } = here else { panic!("{here:?}") };
    assert_eq!(fault, Fault::Local(LocalFault::Disconnected(DisconnectReason::Requested)));
    let forbidden = DialFailure::Forbidden(Forbidden::NetRestricted);
    assert_eq!(dial_failure(&mut pair.dialing_events).await, forbidden);
    pair.dialing.set_net_restrict(None);
    added(&mut pair.dialing_events).await;
}
