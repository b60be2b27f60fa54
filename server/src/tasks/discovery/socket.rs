//! The UDP socket: binding it, and sending and receiving without ever failing.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, UdpSocket};

use crate::{error::StartError, tasks::listener};

/// How many pairs of ports are tried where the system may choose: another program may have the UDP
/// port of a TCP port that is free.
const TRIES: usize = 16;

/// Errors in a row, while receiving, after which to pause between tries.
const MAX_FAILURES: u32 = 16;

/// How long to wait where the system only tells errors.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a datagram may wait for room in the system's buffer. Replies are late after half a
/// second.
const SEND_TIMEOUT: Duration = Duration::from_millis(100);

/// Binds `address` for datagrams, and tells with which port. The IPv6 wildcard takes IPv4 too.
pub(crate) fn bind_udp(address: SocketAddr) -> Result<(UdpSocket, SocketAddr), StartError> {
    try_bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::UdpPortInUse { address },
        _ => StartError::ListenUdp { address, source },
    })
}

/// A bound socket with its address.
pub(crate) type Bound<T> = (T, SocketAddr);

/// Binds `address` for connections, and the port that it got for datagrams too.
pub(crate) fn bind_beside(
    address: SocketAddr,
) -> Result<(Bound<TcpListener>, Bound<UdpSocket>), StartError> {
    let mut tries = 1;
    loop {
        let listener = listener::bind(address)?;
        match bind_udp(listener.1) {
            Ok(socket) => return Ok((listener, socket)),
            Err(StartError::UdpPortInUse { .. }) if address.port() == 0 && tries < TRIES => {
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A UDP socket that goes on, whatever the network says.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
    /// Errors in a row.
    failures: u32,
}

impl Socket {
    /// Room for one datagram. Larger than any that counts, so that what was cut off is not mistaken
    /// for something whole.
    pub(super) const BUFFER: usize = 2 * peerage_discovery::v4::packet::MAX_PACKET_SIZE;

    pub(crate) fn new((socket, address): Bound<UdpSocket>) -> Self {
        Self { socket, address, failures: 0 }
    }

    /// Where it is bound.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until something can be received.
    ///
    /// Cancel safe.
    pub(super) async fn readable(&self) {
        if let Err(error) = self.socket.readable().await {
            tracing::error!(%error, "cannot wait for datagrams");
            // Only time can help.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A datagram that is there, with its size and where it came from.
    pub(super) async fn receive(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        match self.socket.try_recv_from(buffer) {
            Ok((size, from)) => {
                self.failures = 0;
                return Some((size, SocketAddr::new(from.ip().to_canonical(), from.port())));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                // Mostly what became of something that was sent, which is nobody's fault here.
                tracing::debug!(%error, "receiving failed");
                self.failures = self.failures.saturating_add(1);
                if self.failures > MAX_FAILURES {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        None
    }

    /// Sends a datagram, or loses it, as the network may.
    pub(super) async fn send(&self, to: SocketAddr, bytes: &[u8]) {
        let to = match (self.address, to.ip()) {
            (SocketAddr::V6(_), IpAddr::V4(ip)) => {
                SocketAddr::from((ip.to_ipv6_mapped(), to.port()))
            }
            _ => to,
        };
        let sent = match self.socket.try_send_to(bytes, to) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let sending = self.socket.send_to(bytes, to);
                tokio::time::timeout(SEND_TIMEOUT, sending).await.unwrap_or(Err(error))
            }
            sent => sent,
        };
        if let Err(error) = sent {
            tracing::debug!(%to, %error, "sending failed");
        }
    }
}

fn try_bind(address: SocketAddr) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket =
        socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // Systems differ in the default.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}
