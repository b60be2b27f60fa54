//! Starting, stopping, and what is left behind: nothing.

use std::time::Duration;

use peerage::{Direction, DisconnectReason, Event, Node, Protocol, Server, StartError};
use tokio::sync::oneshot;

use crate::common::*;

async fn start_error(builder: peerage::Builder) -> StartError {
    builder.start().await.expect_err("because of a mistake")
}

#[tokio::test]
async fn every_mistake_is_found_at_start_and_says_what_to_change() {
    let named = |name| Protocol::new(name, 1, 1, |_, _| async { Ok(()) });
    let long = |length| Protocol::new("p", 1, length, |_, _| async { Ok(()) });
    let server = || Server::builder(key(1));
    let cases = [
        (server().protocol(named("eth")).protocol(named("eth")), "eth/1 is there twice"),
        (server().protocol(named("")), "1 to 8 ASCII"),
        (server().protocol(named("too-long!")), "1 to 8 ASCII"),
        (server().protocol(long(0)), "a length of 1 to"),
        (server().protocol(long(u64::MAX)), "a length of 1 to"),
        (server().protocol(named("a").attribute("ip", [0x80])), "choose another name"),
        (
            server()
                .protocol(named("a").attribute("x", [0x80]))
                .protocol(named("b").attribute("x", [0x80])),
            "is set twice",
        ),
        (server().client_name("x".repeat(2048)), "shorten the client name"),
        (server().listen("192.0.2.1:0".parse().unwrap()), "cannot listen on 192.0.2.1:0"),
        (server().data_dir("/dev/null/here"), "name one that can be written to"),
    ];
    for (builder, expected) in cases {
        let error = start_error(builder).await.to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    }
}

#[tokio::test]
async fn a_busy_port_is_an_error_and_a_failed_start_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let first = listening(1).start().await.unwrap();
    let address = first.listen_addr().unwrap();
    let second = || Server::builder(key(2)).listen(address).data_dir(dir.path());
    let error = start_error(second()).await;
    assert!(matches!(error, StartError::PortInUse { .. }), "{error}");
    first.stop().await;
    // Neither the port nor the directory is held by the start that failed.
    second().start().await.unwrap().stop().await;
}

#[tokio::test]
async fn a_server_restarts_on_the_same_port_while_its_old_connections_are_remembered() {
    let pair = pair().await;
    let address = pair.listening.listen_addr().unwrap();
    pair.listening.stop().await;
    let (protocol, mut sessions) = sessions();
    let again = Server::builder(key(1)).listen(address).protocol(protocol);
    let _again = again.start().await.unwrap();
    // And the other end, which has it as a static node, comes back.
    let session = sessions.recv().await.unwrap();
    assert_eq!(session.peer.id(), pair.dialing.local_node().id());
}

#[tokio::test]
async fn the_sequence_number_of_the_record_rises_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for _ in 0..3 {
        let server = listening(1).data_dir(dir.path()).start().await.unwrap();
        let seq = server.local_node().record().unwrap().seq();
        assert!(seq > last);
        last = seq;
        let second = start_error(Server::builder(key(2)).data_dir(dir.path())).await;
        assert!(matches!(second, StartError::DataDirLocked { .. }), "{second}");
        server.stop().await;
    }
}

#[tokio::test]
async fn stop_tells_every_peer_and_may_be_called_twice() {
    let mut pair = pair().await;
    tokio::join!(pair.listening.stop(), pair.listening.stop());
    assert!(pair.listening.is_stopped());
    let event = dropped(&mut pair.dialing_events).await;
    let Event::PeerDropped { reason, by_us, .. } = event else { panic!("{event:?}") };
    assert_eq!((reason, by_us), (DisconnectReason::ClientQuitting, false));
    let event = dropped(&mut pair.listening_events).await;
    assert!(matches!(event, Event::PeerDropped { by_us: true, .. }), "{event:?}");
    assert!(pair.listening_events.next().await.is_none());
    pair.listening.stop().await;
    assert!(pair.listening.peers().is_empty());
    assert!(pair.listening.subscribe().next().await.is_none());
}

#[tokio::test]
async fn the_last_handle_that_goes_stops_the_server() {
    let mut pair = pair().await;
    let clone = pair.listening.clone();
    drop(pair.listening);
    assert!(!clone.is_stopped());
    drop(clone);
    let event = dropped(&mut pair.dialing_events).await;
    let Event::PeerDropped { reason, .. } = event else { panic!("{event:?}") };
    assert_eq!(reason, DisconnectReason::ClientQuitting);
}

#[tokio::test(start_paused = true)]
async fn stop_ends_protocols_that_do_not_end_by_themselves() {
    let (alive, mut dead) = oneshot::channel::<()>();
    let alive = std::sync::Mutex::new(Some(alive));
    let stubborn = Protocol::new("test", 1, 8, move |_, _channel| {
        let alive = alive.lock().unwrap().take();
        async move {
            let _alive = alive;
            std::future::pending().await
        }
    });
    let (here, there) = tokio::io::duplex(4096);
    let a = Server::builder(key(1)).protocol(stubborn).start().await.unwrap();
    let b = Server::builder(key(2)).protocol(sessions().0).start().await.unwrap();
    let (out, into) = tokio::join!(
        a.connect_stream(here, Direction::Outbound(*key(2).public())),
        b.connect_stream(there, Direction::Inbound),
    );
    out.and(into).unwrap();
    let before = tokio::time::Instant::now();
    a.stop().await;
    assert_eq!(before.elapsed(), Duration::from_secs(5));
    assert_eq!(dead.try_recv(), Err(oneshot::error::TryRecvError::Closed));
}

#[tokio::test(start_paused = true)]
async fn stop_does_not_wait_for_a_stranger_in_its_handshake() {
    let (here, _there) = tokio::io::duplex(4096);
    let server = Server::builder(key(1)).start().await.unwrap();
    let before = tokio::time::Instant::now();
    let connecting = server.connect_stream(here, Direction::Inbound);
    let (result, ()) = tokio::join!(connecting, server.stop());
    assert!(result.is_err());
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn commands_to_a_stopped_server_do_nothing() {
    let server = listening(1).start().await.unwrap();
    server.stop().await;
    server.add_static(nobody(2).await);
    let (here, _there) = tokio::io::duplex(64);
    let result = server.connect_stream(here, Direction::Inbound).await;
    assert_eq!(result, Err(peerage::ConnectError::Stopped));
    assert_eq!(server.candidates_wanted().await, 0);
}

#[tokio::test]
async fn a_slow_subscriber_is_told_how_much_it_missed() {
    let (protocol, mut there) = sessions();
    let listening = listening(1).protocol(protocol).start().await.unwrap();
    let (protocol, _sessions) = sessions();
    let mut slow = listening.subscribe();
    let id = key(2).public().id();
    let here = Server::builder(key(2)).protocol(protocol).start().await.unwrap();
    here.add_static(listening.local_node());
    let session = there.recv().await.unwrap();
    let mut fast = listening.subscribe();
    let mut seen = 1;
    for trusted in [true, false].repeat(200) {
        match trusted {
            true => listening.add_trusted(Node::new(*key(2).public())),
            false => listening.remove_trusted(id),
        }
        fast.next().await.unwrap();
        seen += 1;
    }
    let Some(Event::Lagged { missed, .. }) = slow.next().await else { panic!() };
    let mut rest = 0;
    listening.stop().await;
    while slow.next().await.is_some() {
        rest += 1;
    }
    // The peer that stopping dropped came on top.
    assert_eq!(missed + rest, seen + 1);
    drop(session);
}

#[tokio::test]
async fn a_subscription_to_the_description_misses_nothing_of_the_run() {
    let builder = Server::builder(key(1)).static_node(nobody(2).await);
    let mut events = builder.subscribe();
    let server = builder.start().await.unwrap();
    dial_failure(&mut events).await;
    server.stop().await;
    assert!(events.next().await.is_none());
}
