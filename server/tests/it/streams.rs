//! Connections over streams that the test brings, with time standing still while anything moves.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use peerage::{
    BoxFuture, Bytes, ConnectError, DialError, DialRequest, Dialed, Dialer, Direction,
    DisconnectReason, Event, Fault, Node, PeerMisbehaved, Server, Waiting,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::mpsc,
};

use crate::common::*;

/// A stream whose reading end can be stopped.
struct Stoppable {
    stream: DuplexStream,
    stopped: Arc<AtomicBool>,
}

impl AsyncRead for Stoppable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stopped.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stoppable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Two servers over a pipe; reading at the second can be stopped.
async fn piped() -> (Server, Server, Session, Session, Arc<AtomicBool>) {
    let (here, there) = tokio::io::duplex(1 << 14);
    let stopped = Arc::new(AtomicBool::new(false));
    let there = Stoppable { stream: there, stopped: stopped.clone() };
    let ((protocol, mut sessions_a), (protocol_b, mut sessions_b)) = (sessions(), sessions());
    let a = Server::builder(key(1)).protocol(protocol).start().await.unwrap();
    let b = Server::builder(key(2)).protocol(protocol_b).start().await.unwrap();
    let (out, into) = tokio::join!(
        a.connect_stream(here, Direction::Outbound(*key(2).public())),
        b.connect_stream(there, Direction::Inbound),
    );
    assert_eq!(out, Ok(b.local_node().id()));
    assert_eq!(into, Ok(a.local_node().id()));
    let (session_a, session_b) =
        (sessions_a.recv().await.unwrap(), sessions_b.recv().await.unwrap());
    (a, b, session_a, session_b, stopped)
}

#[tokio::test(start_paused = true)]
async fn a_pipe_becomes_a_connection_like_any_other() {
    let (a, _b, here, mut there, _) = piped().await;
    here.channel.send(1, "over a pipe").await.unwrap();
    assert_eq!(there.channel.recv().await.unwrap().payload, "over a pipe");
    assert_eq!((a.peers()[0].remote, a.peers()[0].inbound), (None, false));
}

#[tokio::test(start_paused = true)]
async fn pings_keep_an_idle_connection_alive_and_measure_it() {
    let (a, b, _here, _there, _) = piped().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((a.peer_count(), b.peer_count()), (1, 1));
    assert_eq!(a.peers()[0].round_trip, Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_stops_neither_the_deadline_nor_what_it_sends() {
    let (a, _b, here, there, stopped) = piped().await;
    let mut events = a.subscribe();
    stopped.store(true, Ordering::Relaxed);
    let (sender, mut receiver) = here.channel.split();
    let flood = tokio::spawn(async move {
        let payload = random(100_000);
        let mut sent = 0;
        while sender.send(0, payload.clone()).await.is_ok() {
            sent += payload.len();
        }
        sent
    });
    // Each of these wakes the connection, which must not take more of the flood every time.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        there.channel.send(5, "still heard").await.unwrap();
        assert_eq!(receiver.recv().await.unwrap().code, 5);
    }
    let event = dropped(&mut events).await;
    let Event::PeerDropped { fault, duration, .. } = event else { panic!("{event:?}") };
    let limit = Duration::from_secs(20);
    let expected = PeerMisbehaved::TimedOut(limit, Waiting::Writing);
    assert_eq!(fault, Fault::PeerMisbehaved(expected));
    assert!(duration >= limit && duration < limit + Duration::from_secs(2), "{duration:?}");
    let sent = flood.await.unwrap();
    assert!(sent < 1 << 20, "{sent} bytes were taken for a peer that reads none");
    assert!(receiver.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_a_protocol_sent_before_its_end_goes_before_the_goodbye() {
    let (_a, _b, here, mut there, _) = piped().await;
    let payload = random(1000);
    for _ in 0..200 {
        here.channel.send(0, payload.clone()).await.unwrap();
    }
    here.end(Ok(()));
    for _ in 0..200 {
        assert_eq!(there.channel.recv().await.unwrap().payload, payload);
    }
    assert!(there.channel.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_protocol_learns_of_the_end_while_the_goodbye_is_still_on_its_way() {
    let (a, _b, mut here, _there, stopped) = piped().await;
    let mut events = a.subscribe();
    stopped.store(true, Ordering::Relaxed);
    here.channel.send(0, random(100_000)).await.unwrap();
    let before = tokio::time::Instant::now();
    here.peer.disconnect(DisconnectReason::UselessPeer);
    assert!(here.channel.recv().await.is_none());
    assert_eq!(before.elapsed(), Duration::ZERO);
    // The goodbye has a deadline of its own.
    dropped(&mut events).await;
    assert_eq!(before.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_protocol_that_is_slow_for_minutes_is_not_taken_for_a_silent_peer() {
    let (a, b, here, mut there, _) = piped().await;
    let payload = Bytes::from(vec![7; 300_000]);
    // More than the queue of the receiver takes, less than what fits on the way.
    for _ in 0..4 {
        here.channel.send(0, payload.clone()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((a.peer_count(), b.peer_count()), (1, 1));
    for _ in 0..4 {
        assert_eq!(there.channel.recv().await.unwrap().payload, payload);
    }
}

#[tokio::test(start_paused = true)]
async fn silence_in_the_handshake_ends_it_after_ten_seconds() {
    let (here, _there) = tokio::io::duplex(4096);
    let server = Server::builder(key(1)).start().await.unwrap();
    let result = server.connect_stream(here, Direction::Inbound).await;
    let limit = Duration::from_secs(10);
    let expected = PeerMisbehaved::TimedOut(limit, Waiting::Handshaking);
    assert_eq!(result, Err(ConnectError::Failed(Fault::PeerMisbehaved(expected))));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_is_told_that_it_timed_out() {
    let (here, there) = tokio::io::duplex(1 << 14);
    let stopped = Arc::new(AtomicBool::new(false));
    let here = Stoppable { stream: here, stopped: stopped.clone() };
    let a = Server::builder(key(1)).start().await.unwrap();
    let b = Server::builder(key(2)).start().await.unwrap();
    let mut events = b.subscribe();
    let (out, into) = tokio::join!(
        a.connect_stream(here, Direction::Outbound(*key(2).public())),
        b.connect_stream(there, Direction::Inbound),
    );
    out.and(into).unwrap();
    // What b says is not heard any more at a.
    stopped.store(true, Ordering::Relaxed);
    let event = dropped(&mut events).await;
    let Event::PeerDropped { reason, by_us: false, .. } = event else { panic!("{event:?}") };
    assert_eq!(reason, DisconnectReason::Timeout);
}

/// Dials by handing one end of a pipe to another server.
struct PipeDialer {
    pipes: mpsc::UnboundedSender<DuplexStream>,
    asked: Arc<Mutex<Vec<DialRequest>>>,
}

impl Dialer for PipeDialer {
    fn dial(&self, request: DialRequest) -> BoxFuture<'_, Result<Dialed, DialError>> {
        let remote = request.addresses[0];
        self.asked.lock().unwrap().push(request);
        let (here, there) = tokio::io::duplex(4096);
        let sent = self.pipes.send(there);
        Box::pin(async move {
            sent.map_err(|_| DialError::Unreachable)?;
            Ok(Dialed::new(here, remote))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialer_of_ones_own_takes_the_place_of_tcp() {
    let (pipes, mut ends) = mpsc::unbounded_channel();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let there = Server::builder(key(1)).start().await.unwrap();
    // Nobody could be reached there by TCP.
    let address = "192.0.2.1:30303".parse().unwrap();
    let node = Node::from_endpoint(*key(1).public(), address, None);
    let here = Server::builder(key(2))
        .dialer(PipeDialer { pipes, asked: asked.clone() })
        .static_node(node)
        .start()
        .await
        .unwrap();
    let end = ends.recv().await.unwrap();
    let id = there.connect_stream(end, Direction::Inbound).await.unwrap();
    assert_eq!(id, here.local_node().id());
    let asked = asked.lock().unwrap();
    assert_eq!((asked[0].key, &asked[0].addresses), (*key(1).public(), &vec![address]));
}

struct NeverDialer;

impl Dialer for NeverDialer {
    fn dial(&self, _: DialRequest) -> BoxFuture<'_, Result<Dialed, DialError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_dial_without_an_answer_ends_in_time() {
    let here = Server::builder(key(2)).dialer(NeverDialer).start().await.unwrap();
    let mut events = here.subscribe();
    let address = "192.0.2.1:30303".parse().unwrap();
    here.add_static(Node::from_endpoint(*key(1).public(), address, None));
    let before = tokio::time::Instant::now();
    let why = dial_failure(&mut events).await;
    assert_eq!(why, peerage::DialFailure::Dial(DialError::TimedOut));
    assert_eq!(before.elapsed().as_secs(), 15);
}

/// A stream that breaks when our Hello is written to it, with the other end's Hello already there.
struct BreaksAfterHello {
    stream: DuplexStream,
    writes: usize,
    heard: Vec<u8>,
}

impl AsyncRead for BreaksAfterHello {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.heard.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let n = self.heard.len().min(buffer.remaining());
        buffer.put_slice(&self.heard[..n]);
        self.heard.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BreaksAfterHello {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        if self.writes == 1 {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        }
        if self.heard.is_empty() {
            let mut heard = [0; 4096];
            let mut buffer = ReadBuf::new(&mut heard);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            self.heard = buffer.filled().to_vec();
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn the_protocol_of_a_peer_that_was_gone_before_it_was_added_ends() {
    let (protocol, mut sessions) = sessions();
    let server = Server::builder(key(1)).protocol(protocol).start().await.unwrap();
    let other = Server::builder(key(2)).protocol(self::sessions().0).start().await.unwrap();
    let (here, there) = tokio::io::duplex(1 << 16);
    let here = BreaksAfterHello { stream: here, writes: 0, heard: Vec::new() };
    let there = other.connect_stream(there, Direction::Outbound(*key(1).public()));
    let (here, _) = tokio::join!(server.connect_stream(here, Direction::Inbound), there);
    assert_eq!(here.unwrap(), key(2).public().id());
    let mut session = sessions.recv().await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(60), session.channel.recv()).await;
    assert_eq!(end, Ok(None));
}

/// Panics, as a dialer and as a stream.
struct Panics;

impl Dialer for Panics {
    fn dial(&self, _: DialRequest) -> BoxFuture<'_, Result<Dialed, DialError>> {
        panic!("a mistake in a dialer");
    }
}

impl AsyncRead for Panics {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        panic!("a mistake in a stream");
    }
}

impl AsyncWrite for Panics {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialer_or_stream_that_panics_fails_and_keeps_no_place() {
    let server = Server::builder(key(1)).dialer(Panics).start().await.unwrap();
    let mut events = server.subscribe();
    let ended = server.connect_stream(Panics, Direction::Inbound).await;
    assert_eq!(ended, Err(ConnectError::Failed(Fault::Local(peerage::LocalFault::Lost))));
    let address = "192.0.2.1:30303".parse().unwrap();
    server.add_static(Node::from_endpoint(*key(2).public(), address, None));
    let why = dial_failure(&mut events).await;
    assert_eq!(why, peerage::DialFailure::Dial(DialError::Unreachable));
    let before = tokio::time::Instant::now();
    server.stop().await;
    assert_eq!(before.elapsed(), Duration::ZERO, "nobody is waited for");
}
