//! Asking a node what it is: connect, exchange Hellos, measure a round trip, say goodbye.
//!
//! A connection of its own, without a [`Server`](crate::Server): nobody is admitted here, so that
//! also a node is heard that has nothing in common with us. The first verdicts are always yes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use peerage_machine::{Instant, Now};
use peerage_node::{Node, SecretKey};
use peerage_peering::envelope::DialError;
use peerage_rlpx::{
    Capability, Config, Connection, DisconnectReason, Event, Fault, Hello, LocalCapability, Role,
    Timeouts,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{
    builder::default_client_name,
    dialer::{BoxedStream, DialRequest, Dialer, TcpDialer},
    tasks::{clock::Clock, names},
};

/// What is read at once: more than any message that comes before a pong, and no burden.
const READ_SIZE: usize = 16 << 10;

/// How many message ids the capabilities take that we only claim to speak. Their messages are
/// thrown away, so the number only has to be large enough for the ids of a node that believes us.
const CLAIMED_LENGTH: u64 = 0x40;

/// How long to wait for the node to hang up after our goodbye: a round trip around the world.
const GOODBYE: Duration = Duration::from_millis(500);

/// How a node is asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PingOptions {
    /// The key that we show. A node refuses a second connection with the key of one of its peers.
    pub key: SecretKey,
    /// The client name that our Hello gives.
    pub client_name: String,
    /// The capabilities that our Hello announces. Nothing is spoken on them; but most nodes
    /// disconnect whoever shares none with them, and then answer no ping.
    pub capabilities: Vec<Capability>,
    /// For all of it together.
    pub timeout: Duration,
}

impl PingOptions {
    /// To ask with this key, as a client that announces nothing, within 10 s.
    pub fn new(key: SecretKey) -> Self {
        Self {
            key,
            client_name: default_client_name(),
            capabilities: Vec::new(),
            // The time that rlpx gives a handshake.
            timeout: Timeouts::default().handshake,
        }
    }
}

/// What a node that was asked has answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PingAnswer {
    /// The address that answered.
    pub remote: SocketAddr,
    /// What the node says of itself.
    pub hello: Hello,
    /// How long it took to connect.
    pub connecting: Duration,
    /// How long it took from there to its Hello.
    pub handshake: Duration,
    /// How long a ping and its pong took; `None` if the node did not wait for it, or was too slow.
    pub round_trip: Option<Duration>,
    /// Why the node left before we did, if so.
    pub ended: Option<Fault>,
}

/// Why a node gave no Hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PingError {
    /// Somebody was reached, and it ended before Hello.
    #[error("{remote} ended the connection before its Hello: {fault}")]
    BeforeHello {
        /// The address that answered.
        remote: SocketAddr,
        /// Why it ended.
        fault: Fault,
    },
    /// Nobody was reached.
    #[error("nobody answers: {0}")]
    Dial(DialError),
    /// The node's URL or record has no address.
    #[error("the address of this node is not known: name it with HOST:PORT")]
    NoAddress,
    /// Its host name does not resolve.
    #[error("its host name does not resolve to an address")]
    NotResolved,
    /// Somebody was reached, but said nothing in time.
    #[error("{remote} accepts connections, but gave no Hello in time")]
    TimedOut {
        /// The address that answered.
        remote: SocketAddr,
    },
}

/// Asks `node` what it is. Within a tokio runtime.
pub async fn ping(node: &Node, options: PingOptions) -> Result<PingAnswer, PingError> {
    let clock = Clock::start();
    let deadline = clock.after(options.timeout);
    let addresses = addresses(node, &clock, deadline).await?;
    let request = DialRequest { key: *node.public_key(), addresses };
    let dialed = clock
        .timeout_at(deadline, TcpDialer.dial(request))
        .await
        .unwrap_or(Err(DialError::TimedOut))
        .map_err(PingError::Dial)?;
    let (connecting, remote) = (clock.elapsed(), dialed.remote);

    let mut wire = Wire::new(dialed.stream, node, options, clock);
    let hello = match clock.timeout_at(deadline, wire.hello()).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(fault)) => return Err(PingError::BeforeHello { remote, fault }),
        Err(_) => return Err(PingError::TimedOut { remote }),
    };
    let handshake = clock.elapsed() - connecting;
    let ended = clock.timeout_at(deadline, wire.pong()).await.unwrap_or(Ok(())).err();
    let round_trip = wire.round_trip;
    if ended.is_none() {
        // A courtesy, cut short where it is not returned.
        let _ = timeout(GOODBYE, wire.goodbye()).await;
    }
    Ok(PingAnswer { remote, hello, connecting, handshake, round_trip, ended })
}

/// Where the node accepts connections.
async fn addresses(
    node: &Node,
    clock: &Clock,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, PingError> {
    let (Some(host), Some(port)) = (node.hostname(), node.tcp_port()) else {
        let addresses = node.tcp_endpoints();
        return if addresses.is_empty() { Err(PingError::NoAddress) } else { Ok(addresses) };
    };
    let found = clock.timeout_at(deadline, names::resolve(host)).await.unwrap_or_default();
    let addresses: Vec<_> = found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
    if addresses.is_empty() { Err(PingError::NotResolved) } else { Ok(addresses) }
}

/// A connection and the stream that it lives on.
struct Wire {
    stream: BoxedStream,
    connection: Connection,
    clock: Clock,
    scratch: Vec<u8>,
    payload: Vec<u8>,
    round_trip: Option<Duration>,
}

impl Wire {
    fn new(stream: BoxedStream, node: &Node, options: PingOptions, clock: Clock) -> Self {
        let claimed = |capability| LocalCapability { capability, length: CLAIMED_LENGTH };
        let mut capabilities: Vec<_> = options.capabilities.into_iter().map(claimed).collect();
        capabilities.sort_unstable();
        capabilities.dedup();
        // The first ping is to go out at once; there is no second one.
        let timeouts = Timeouts::default().with_ping_interval(Duration::from_nanos(1));
        let config = Config::new(options.key, options.client_name)
            .with_capabilities(capabilities)
            .with_timeouts(timeouts);
        let role = Role::Initiator { remote: *node.public_key() };
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("because a system that made our key has randomness");
        Self {
            stream,
            connection: Connection::new(Arc::new(config), role, clock.now(), seed),
            clock,
            scratch: vec![0; READ_SIZE],
            payload: Vec::new(),
            round_trip: None,
        }
    }

    /// Goes through the handshake to the node's Hello.
    async fn hello(&mut self) -> Result<Hello, Fault> {
        loop {
            match self.step().await {
                Some(Event::Identified { .. }) => self.connection.admit(self.clock.now()),
                Some(Event::Ready { hello }) => return Ok(hello),
                Some(Event::Closed { fault }) => return Err(fault),
                Some(Event::Message { .. } | Event::Step(_)) | None => {}
            }
        }
    }

    /// Sends a ping, and waits for its pong.
    async fn pong(&mut self) -> Result<(), Fault> {
        self.connection.admit(self.clock.now());
        if let Some(due) = self.connection.poll_timeout() {
            self.clock.alarm(due).await;
        }
        self.connection.handle_timeout(self.clock.now());
        while self.round_trip.is_none() {
            if let Some(Event::Closed { fault }) = self.step().await {
                return Err(fault);
            }
            self.round_trip = self.connection.round_trip();
        }
        Ok(())
    }

    /// Says that we leave, and waits until the node has hung up, as a socket closed with bytes
    /// unread would be reset, and our goodbye might be lost.
    async fn goodbye(&mut self) {
        self.connection.disconnect(self.clock.now(), DisconnectReason::Requested);
        self.flush().await;
        // Fails if the node was faster.
        let _ = self.stream.shutdown().await;
        while matches!(self.stream.read(&mut self.scratch).await, Ok(n) if n > 0) {}
    }

    /// Does what there is to do, writes all there is to write, then reads once, up to an event.
    async fn step(&mut self) -> Option<Event> {
        if let Some(event) = poll_event(&mut self.connection, self.clock.now()) {
            return Some(event);
        }
        self.flush().await;
        let budget = self.connection.read_budget().min(self.scratch.len());
        let read = match self.connection.is_closed() {
            true => Ok(0),
            false => self.stream.read(&mut self.scratch[..budget]).await,
        };
        let now = self.clock.now();
        let Ok(n @ 1..) = read else { return self.connection.receive_eof(now) };
        let mut input = &mut self.scratch[..n];
        let mut event = None;
        while !input.is_empty() {
            event = self.connection.receive(now, &mut input, &mut self.payload);
            match event {
                // Of a capability that we only claimed to speak.
                Some(Event::Message { .. }) => event = None,
                Some(Event::Step(step)) => {
                    self.connection.handle_step(now, step.run());
                    event = poll_event(&mut self.connection, now);
                }
                _ => {}
            }
            if event.is_some() {
                break;
            }
        }
        event
    }

    async fn flush(&mut self) {
        while !self.connection.outgoing().is_empty() {
            match self.stream.write(self.connection.outgoing()).await {
                Ok(n @ 1..) => self.connection.written(self.clock.now(), n),
                // The read that follows says what is the matter, and may yet bring a reason.
                _ => return,
            }
        }
    }
}

/// What the connection has to tell; the steps of its handshake are run here.
fn poll_event(connection: &mut Connection, now: Now) -> Option<Event> {
    loop {
        match connection.poll_event()? {
            Event::Step(step) => connection.handle_step(now, step.run()),
            event => return Some(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::{Protocol, Server};

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_bytes(&[byte; 32]).unwrap()
    }

    async fn server() -> Server {
        let protocol = Protocol::new("demo", 1, 1, |_, mut channel| async move {
            while channel.recv().await.is_some() {}
            Ok(())
        });
        Server::builder(key(1))
            .listen("127.0.0.1:0".parse().unwrap())
            .client_name("asked")
            .protocol(protocol)
            .start()
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_node_with_a_common_capability_answers_with_hello_and_pong() {
        let server = server().await;
        let capabilities = vec![Capability { name: "demo".parse().unwrap(), version: 1 }];
        let options = PingOptions { capabilities, ..PingOptions::new(key(2)) };
        let answer = ping(&server.local_node(), options).await.unwrap();
        assert_eq!(answer.hello.client, "asked");
        assert!(answer.round_trip.is_some());
        assert_eq!(answer.ended, None);
    }

    #[tokio::test]
    async fn a_node_without_one_still_gives_its_hello_and_then_its_reason() {
        let server = server().await;
        let answer = ping(&server.local_node(), PingOptions::new(key(2))).await.unwrap();
        assert_eq!(answer.hello.capabilities.len(), 1);
        assert_eq!(answer.ended, Some(Fault::Remote(DisconnectReason::UselessPeer)));
    }

    #[tokio::test]
    async fn refusal_before_hello_silence_and_absence_are_told_apart() {
        let server = server().await;
        let ourselves = ping(&server.local_node(), PingOptions::new(key(1))).await.unwrap_err();
        let fault = Fault::Remote(DisconnectReason::ConnectedToSelf);
        assert!(matches!(ourselves, PingError::BeforeHello { fault: why, .. } if why == fault));

        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let node = Node::from_endpoint(*key(3).public(), address, None);
        let short = PingOptions { timeout: Duration::from_secs(1), ..PingOptions::new(key(2)) };
        assert_eq!(
            ping(&node, short.clone()).await.unwrap_err(),
            PingError::TimedOut { remote: address }
        );

        drop(silent);
        let gone = ping(&node, short.clone()).await.unwrap_err();
        assert_eq!(gone, PingError::Dial(DialError::Refused));

        let nowhere = ping(&Node::new(*key(3).public()), short).await.unwrap_err();
        assert_eq!(nowhere, PingError::NoAddress);
    }
}
