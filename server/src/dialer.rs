//! Reaching out: how a dial becomes a stream of bytes.
//!
//! Not here: whom to dial, when, and for how long (`peerage-peering`).

use std::{io, net::SocketAddr};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use peerage_machine::Machine as _;
use peerage_node::PublicKey;
use peerage_peering::{Race, RaceInput, RaceOutput, envelope::DialError};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{protocol::BoxFuture, tasks::clock::Clock};

/// A stream of bytes that a connection can live on: TCP, a pipe, a proxy's tunnel.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Any [`Transport`].
pub type BoxedStream = Box<dyn Transport>;

/// Which end of a stream is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The other end speaks first, and proves who it is.
    Inbound,
    /// We speak first, to the node with this key.
    Outbound(PublicKey),
}

/// Whom to dial, and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DialRequest {
    /// Who should be there. The handshake will prove it; a dialer needs it only to choose a way.
    pub key: PublicKey,
    /// Where, the preferred first. Never empty.
    pub addresses: Vec<SocketAddr>,
}

impl DialRequest {
    /// To reach the node with this key at one of these addresses, the preferred first.
    pub const fn new(key: PublicKey, addresses: Vec<SocketAddr>) -> Self {
        Self { key, addresses }
    }
}

/// A dial that reached somebody.
#[non_exhaustive]
pub struct Dialed {
    /// The stream.
    pub stream: BoxedStream,
    /// The address that answered.
    pub remote: SocketAddr,
    /// Our end of it, where it has one.
    pub local: Option<SocketAddr>,
}

impl Dialed {
    /// The node at `remote` is reached by this stream, of which our end has no address.
    pub fn new(stream: impl Transport + 'static, remote: SocketAddr) -> Self {
        Self { stream: Box::new(stream), remote, local: None }
    }
}

impl std::fmt::Debug for Dialed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialed").field("remote", &self.remote).finish_non_exhaustive()
    }
}

/// A way to reach nodes: TCP by default; a proxy, Tor or a test's pipes where the embedding program
/// says so.
pub trait Dialer: Send + Sync + 'static {
    /// Reaches the node at one of its addresses. The server drops the future when it takes too long
    /// (see [`Builder::dial_timeout`](crate::Builder::dial_timeout)).
    fn dial(&self, request: DialRequest) -> BoxFuture<'_, Result<Dialed, DialError>>;
}

/// Dials TCP, both address families raced: each address is tried a quarter of a second after the
/// one before it, or at once when that one fails; the first that answers wins.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpDialer;

impl Dialer for TcpDialer {
    fn dial(&self, request: DialRequest) -> BoxFuture<'_, Result<Dialed, DialError>> {
        Box::pin(race(request.addresses))
    }
}

/// Drives a [`Race`]: its tries are connects, which end with it.
async fn race(addresses: Vec<SocketAddr>) -> Result<Dialed, DialError> {
    let clock = Clock::start();
    let mut race = Race::new(clock.now().mono, addresses);
    let mut tries = FuturesUnordered::new();
    let mut connected = None;
    loop {
        while let Some(output) = race.poll_output() {
            match output {
                RaceOutput::Lost(why) => return Err(why),
                RaceOutput::Try(address) => {
                    tries.push(async move { (address, connect(address).await) })
                }
                // The machine believes nothing but what it was just told.
                RaceOutput::Won(_) => return connected.ok_or(DialError::Unreachable),
            }
        }
        let wake = race.poll_timeout();
        tokio::select! {
            Some((address, tried)) = tries.next() => {
                let input = match tried {
                    Ok(dialed) => {
                        connected = Some(dialed);
                        RaceInput::Connected(address)
                    }
                    Err(why) => RaceInput::Failed(address, why),
                };
                race.handle_input(clock.now(), input);
            }
            () = clock.until(wake) => race.handle_timeout(clock.now()),
        }
    }
}

async fn connect(remote: SocketAddr) -> Result<Dialed, DialError> {
    let stream = TcpStream::connect(remote).await.map_err(|error| judge(&error))?;
    prepare(&stream);
    let local = stream.local_addr().ok();
    Ok(Dialed { stream: Box::new(stream), remote, local })
}

/// Sets what every TCP connection of ours has set, dialed or accepted.
pub(crate) fn prepare(stream: &TcpStream) {
    // Frames are batched before they are written, so waiting for more would only add latency. A
    // socket that refuses works all the same.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
}

fn judge(error: &io::Error) -> DialError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused,
        io::ErrorKind::TimedOut => DialError::TimedOut,
        _ => DialError::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn free_port() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_hold_up_the_next_one() {
        let closed = free_port().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let dialed = race(vec![closed, open]).await.unwrap();
        assert_eq!((dialed.remote, dialed.local.is_some()), (open, true));
    }

    #[tokio::test]
    async fn when_nobody_listens_the_dial_was_refused() {
        let addresses = vec![free_port().await, free_port().await];
        assert_eq!(race(addresses).await.unwrap_err(), DialError::Refused);
    }
}
