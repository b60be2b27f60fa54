//! Listening: binding a TCP port, and accepting while peering wants to.
//!
//! Not here: who may come in (`peerage-peering`).

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
};

use peerage_peering::ACCEPT_PAUSE;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};

use crate::{dialer::prepare, error::StartError};

/// How many connections the kernel completes while we do not accept.
const BACKLOG: i32 = 1024;

/// A connection that was accepted, and where it comes from.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) stream: TcpStream,
    pub(crate) remote: SocketAddr,
}

/// Binds `address`, and tells with which port. The IPv6 wildcard takes IPv4 too.
pub(crate) fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    try_bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse { address },
        _ => StartError::Listen { address, source },
    })
}

fn try_bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // Systems differ in the default.
        socket.set_only_v6(false)?;
    }
    // So that a restart need not wait for the last run's connections to be forgotten. Elsewhere
    // than on Unix the option would let two servers share a port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Accepts for ever, while `accepting` is true. Ends when the server does.
pub(crate) async fn accept(
    listener: TcpListener,
    mut accepting: watch::Receiver<bool>,
    accepted: mpsc::Sender<Incoming>,
) {
    loop {
        if accepting.wait_for(|accepting| *accepting).await.is_err() {
            return;
        }
        let result = tokio::select! {
            result = listener.accept() => result,
            // Not accepting, for now or ever: the head of the loop tells which.
            _ = accepting.wait_for(|accepting| !*accepting) => continue,
        };
        match result {
            Ok((stream, remote)) => {
                prepare(&stream);
                let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
                if accepted.send(Incoming { stream, remote }).await.is_err() {
                    return;
                }
            }
            // What broke is the connection, and the next one need not wait: else whoever resets
            // connections in the backlog would slow accepting down for everybody.
            Err(error) if is_of_one_connection(error.kind()) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether accept failed because of the connection that it was to give, as it does on some systems
/// for one that was reset before.
const fn is_of_one_connection(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(kind, ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use peerage_peering::UNJUDGED;

    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[tokio::test]
    async fn a_busy_port_is_named() {
        let (first, address) = bind(loopback(0)).unwrap();
        let error = bind(address).unwrap_err();
        assert!(matches!(error, StartError::PortInUse { .. }), "{error}");
        assert!(error.to_string().contains(&address.port().to_string()), "{error}");
        drop(first);
        bind(address).unwrap();
    }

    #[tokio::test]
    async fn the_ipv6_wildcard_takes_ipv4_and_tells_its_address_as_such() {
        let (listener, address) = bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).unwrap();
        let port = address.port();
        let (_on, accepting) = watch::channel(true);
        let (accepted, mut incoming) = mpsc::channel(UNJUDGED);
        let task = tokio::spawn(accept(listener, accepting, accepted));
        let stream = TcpStream::connect(loopback(port)).await.unwrap();
        let remote = incoming.recv().await.unwrap().remote;
        assert_eq!(remote, stream.local_addr().unwrap());
        task.abort();
    }

    #[test]
    fn a_connection_that_broke_holds_up_no_other_and_want_of_descriptors_does() {
        assert!(is_of_one_connection(io::ErrorKind::ConnectionAborted));
        // EMFILE, on every Unix.
        assert!(!is_of_one_connection(io::Error::from_raw_os_error(24).kind()));
    }

    #[tokio::test]
    async fn nothing_is_accepted_until_accepting_is_on() {
        let (listener, address) = bind(loopback(0)).unwrap();
        let (on, accepting) = watch::channel(false);
        let (accepted, mut incoming) = mpsc::channel(UNJUDGED);
        let task = tokio::spawn(accept(listener, accepting, accepted));
        let stream = TcpStream::connect(address).await.unwrap();
        tokio::task::yield_now().await;
        assert!(incoming.try_recv().is_err(), "it waits in the backlog");
        on.send_replace(true);
        assert_eq!(incoming.recv().await.unwrap().remote, stream.local_addr().unwrap());
        drop(incoming);
        let _another = TcpStream::connect(address).await.unwrap();
        task.await.unwrap();
    }
}
