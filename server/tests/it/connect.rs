//! Servers that dial and listen, and messages between them.

use peerage::{
    Bytes, Cause, DialError, DialFailure, Direction, Event, MAX_PAYLOAD, Node, SendError, Server,
    Skip, Slot, Source,
};

use crate::common::*;

#[tokio::test]
async fn a_static_node_is_dialed_and_each_end_sees_the_other() {
    let mut pair = pair().await;
    let (here, there) = (added(&mut pair.dialing_events).await, pair.listening.peers());
    let there = &there[0];
    assert_eq!(
        (here.id, there.id),
        (pair.listening.local_node().id(), pair.dialing.local_node().id())
    );
    assert_eq!((here.inbound, there.inbound), (false, true));
    assert_eq!((here.slot, there.slot), (Slot::Static, Slot::Inbound));
    assert_eq!((here.remote, here.local), (there.local, there.remote));
    assert_eq!(here.remote, pair.listening.listen_addr());
    assert_eq!(here.client, pair.listening.node_info().name);
    assert_eq!(here.shared, here.capabilities);
    assert_eq!(pair.here.channel.capability().to_string(), "test/1");
    assert_eq!((pair.dialing.peer_count(), pair.listening.peer_count()), (1, 1));
    assert!(here.client.starts_with("peerage/v"), "{}", here.client);
}

#[tokio::test]
async fn messages_of_every_size_arrive_as_they_were_sent() {
    let mut pair = pair().await;
    for size in [0, 1, 32, 1_000, 70_000, 1 << 20, MAX_PAYLOAD] {
        let payload: Bytes = (0..size).map(|i| (i / 7) as u8).collect::<Vec<_>>().into();
        let (sent, received) =
            tokio::join!(pair.here.channel.send(7, payload.clone()), pair.there.channel.recv());
        sent.unwrap();
        let received = received.unwrap();
        assert_eq!(received.code, 7);
        assert!(received.payload == payload, "{size} bytes there");
        let (sent, received) =
            tokio::join!(pair.there.channel.send(0, payload.clone()), pair.here.channel.recv());
        sent.unwrap();
        assert!(received.unwrap().payload == payload, "{size} bytes back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_keep_their_order_and_none_is_lost() {
    let mut pair = pair().await;
    const COUNT: u32 = 50_000;
    let (sender, _receiver) = pair.here.channel.split();
    let sending = tokio::spawn(async move {
        for i in 0..COUNT {
            let mut payload = i.to_be_bytes().to_vec();
            payload.resize(4 + (i % 300) as usize, 0xaa);
            sender.send(u64::from(i % 8), payload).await.unwrap();
        }
        sender
    });
    for i in 0..COUNT {
        let message = pair.there.channel.recv().await.unwrap();
        assert_eq!(message.code, u64::from(i % 8));
        assert_eq!(message.payload.len(), 4 + (i % 300) as usize);
        assert_eq!(message.payload[..4], i.to_be_bytes());
    }
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_and_the_connection_goes_on() {
    let mut pair = pair().await;
    let channel = &pair.here.channel;
    let out_of_range = SendError::OutOfRange { code: 8, length: 8 };
    assert_eq!(channel.send(8, "").await, Err(out_of_range));
    let size = MAX_PAYLOAD + 1;
    assert_eq!(channel.send(0, vec![0; size]).await, Err(SendError::TooLarge { size }));
    channel.send(1, "still here").await.unwrap();
    assert_eq!(pair.there.channel.recv().await.unwrap().payload, "still here");
}

#[tokio::test]
async fn a_dial_that_reaches_nobody_is_reported_with_its_reason_and_its_next_try() {
    let server = Server::builder(key(1)).start().await.unwrap();
    let mut events = server.subscribe();
    let node = nobody(2).await;
    server.add_static(node.clone());
    let event = events.next().await.unwrap();
    let Event::DialFailed { id, why, retry_in, .. } = event else { panic!("{event:?}") };
    assert_eq!((id, why), (node.id(), DialFailure::Dial(DialError::Refused)));
    assert!(retry_in.is_some());
}

#[tokio::test]
async fn a_candidate_that_is_not_dialed_comes_back_with_the_reason() {
    let server = Server::builder(key(1)).start().await.unwrap();
    let mut events = server.subscribe();
    server.candidates_wanted().await;
    server.add_candidate(server.local_node());
    server.add_candidate(Node::new(*key(2).public()));
    for expected in
        [(key(1).public().id(), Skip::OwnNode), (key(2).public().id(), Skip::NoEndpoint)]
    {
        let event = events.next().await.unwrap();
        let Event::CandidateSkipped { id, source, cause } = event else { panic!("{event:?}") };
        assert_eq!((id, cause), (expected.0, Cause::Skipped(expected.1)));
        assert_eq!(source, Source::USER);
    }
}

#[tokio::test]
async fn a_static_node_is_dialed_by_name() {
    let (protocol, mut sessions_there) = sessions();
    let there = listening(1).protocol(protocol).start().await.unwrap();
    let port = there.listen_addr().unwrap().port();
    let named = format!("enode://{}@localhost:{port}", key(1).public()).parse().unwrap();
    let here = Server::builder(key(2)).protocol(sessions().0).static_node(named);
    let here = here.start().await.unwrap();
    assert_eq!(sessions_there.recv().await.unwrap().peer.id(), here.local_node().id());
}

#[tokio::test]
async fn two_servers_that_dial_each_other_at_once_keep_one_connection_and_the_same() {
    for round in 0..8 {
        let (protocol, _a_sessions) = sessions();
        let a = listening(1).protocol(protocol).limits(impatient()).start().await.unwrap();
        let (protocol, _b_sessions) = sessions();
        let b = listening(2 + round).protocol(protocol).limits(impatient()).start().await.unwrap();
        let (mut a_events, mut b_events) = (a.subscribe(), b.subscribe());
        a.add_static(b.local_node());
        b.add_static(a.local_node());
        loop {
            let (of_a, of_b) = (a.peers(), b.peers());
            assert!(of_a.len() <= 1 && of_b.len() <= 1);
            if let ([of_a], [of_b]) = (&of_a[..], &of_b[..])
                && of_a.local == of_b.remote
                && of_a.remote == of_b.local
            {
                break;
            }
            tokio::select! {
                event = a_events.next() => { event.unwrap(); }
                event = b_events.next() => { event.unwrap(); }
            }
        }
        a.stop().await;
        b.stop().await;
    }
}

#[tokio::test]
async fn a_stream_to_somebody_else_is_refused_by_the_handshake() {
    let (here, there) = tokio::io::duplex(4096);
    let server = Server::builder(key(1)).start().await.unwrap();
    let other = Server::builder(key(2)).start().await.unwrap();
    let expected = Direction::Outbound(*key(3).public());
    let (out, into) = tokio::join!(
        server.connect_stream(here, expected),
        other.connect_stream(there, Direction::Inbound),
    );
    assert!(out.is_err() && into.is_err(), "{out:?} {into:?}");
}

#[tokio::test]
async fn garbage_from_a_stranger_ends_its_connection_and_nothing_else() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let there = listening(1).protocol(echo()).start().await.unwrap();
    let address = there.listen_addr().unwrap();
    for garbage in [vec![0xff; 300], [&[0x01, 0x90][..], &[0x04; 400]].concat(), vec![0; 300]] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(&garbage).await.unwrap();
        let mut answer = Vec::new();
        // A reset is as good an end as any.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{} bytes for a stranger", answer.len());
    }
    let here = Server::builder(key(2)).protocol(echo()).start().await.unwrap();
    let mut events = here.subscribe();
    here.add_static(there.local_node());
    added(&mut events).await;
}
