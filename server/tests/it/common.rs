//! What the tests share.

use std::time::Duration;

use peerage::{
    Backoff, Builder, Bytes, Channel, Event, Events, Limits, Node, Peer, PeerInfo, Protocol,
    ProtocolError, SecretKey, Server,
};
use tokio::sync::{mpsc, oneshot};

/// The key of the test's node number `n`.
pub(crate) fn key(n: u8) -> SecretKey {
    SecretKey::from_bytes(&[n; 32]).unwrap()
}

/// A server that listens on a loopback port of the system's choice.
pub(crate) fn listening(n: u8) -> Builder {
    Server::builder(key(n)).listen("127.0.0.1:0".parse().unwrap())
}

/// Limits under which a failed dial is repeated at once.
pub(crate) fn impatient() -> Limits {
    let millisecond = Duration::from_millis(1);
    Limits::default()
        .with_dial_history(millisecond)
        .with_static_backoff(Backoff::constant(millisecond))
}

/// Answers every message with itself.
pub(crate) fn echo() -> Protocol {
    Protocol::new("echo", 1, 8, |_, mut channel| async move {
        while let Some(message) = channel.recv().await {
            channel.send(message.code, message.payload).await?;
        }
        Ok(())
    })
}

/// Bytes that cannot be compressed, so that bytes are bytes on all of the way.
pub(crate) fn random(size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    peerage_machine::Random::from_seed([1; 32]).fill(&mut bytes);
    bytes.into()
}

/// A protocol whose part the test plays.
pub(crate) struct Session {
    pub(crate) peer: Peer,
    pub(crate) channel: Channel,
    end: oneshot::Sender<Result<(), ProtocolError>>,
}

impl Session {
    /// The protocol function returns `result`.
    pub(crate) fn end(self, result: Result<(), ProtocolError>) {
        let _ = self.end.send(result);
    }
}

/// A protocol `test/1` with 8 messages that hands each of its peers to the test, and ends with the
/// connection, or with the session that it was handed as.
pub(crate) fn sessions() -> (Protocol, mpsc::UnboundedReceiver<Session>) {
    sessions_of("test")
}

/// The same by another name.
pub(crate) fn sessions_of(name: &str) -> (Protocol, mpsc::UnboundedReceiver<Session>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let protocol = Protocol::new(name, 1, 8, move |peer, channel| {
        let (end, ended) = oneshot::channel();
        let closing = channel.sender();
        let _ = sender.send(Session { peer, channel, end });
        async move {
            tokio::select! {
                ended = ended => ended.unwrap_or(Ok(())),
                () = closing.closed() => Ok(()),
            }
        }
    });
    (protocol, receiver)
}

/// Two servers that are connected: the first has dialed the second.
pub(crate) struct Pair {
    pub(crate) dialing: Server,
    pub(crate) listening: Server,
    pub(crate) here: Session,
    pub(crate) there: Session,
    pub(crate) dialing_events: Events,
    pub(crate) listening_events: Events,
}

/// Connects two servers over loopback.
pub(crate) async fn pair() -> Pair {
    let (protocol, mut there) = sessions();
    let listening = listening(1).protocol(protocol).start().await.unwrap();
    let listening_events = listening.subscribe();
    let (protocol, mut here) = sessions();
    let dialing = Server::builder(key(2)).protocol(protocol).limits(impatient());
    let dialing = dialing.start().await.unwrap();
    let dialing_events = dialing.subscribe();
    dialing.add_static(listening.local_node());
    let (here, there) = (here.recv().await.unwrap(), there.recv().await.unwrap());
    Pair { dialing, listening, here, there, dialing_events, listening_events }
}

/// The next peer that is added.
pub(crate) async fn added(events: &mut Events) -> PeerInfo {
    loop {
        if let Event::PeerAdded { peer } = events.next().await.expect("because the server runs") {
            return *peer;
        }
    }
}

/// How the next peer that is dropped was dropped.
pub(crate) async fn dropped(events: &mut Events) -> Event {
    loop {
        let event = events.next().await.expect("because the server runs");
        if matches!(event, Event::PeerDropped { .. }) {
            return event;
        }
    }
}

/// Why the next dial that fails failed.
pub(crate) async fn dial_failure(events: &mut Events) -> peerage::DialFailure {
    loop {
        let event = events.next().await.expect("because the server runs");
        if let Event::DialFailed { why, .. } = event {
            return why;
        }
    }
}

/// A node that nobody is at home at.
pub(crate) async fn nobody(n: u8) -> Node {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    Node::from_endpoint(*key(n).public(), listener.local_addr().unwrap(), None)
}
