//! The UDP socket: binding it, and sending and receiving without ever failing.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

use crate::{error::StartError, listener};

/// How many pairs of ports are tried where the system may choose: another program may have the UDP port
/// of a TCP port that is free.
const TRIES: usize = 16;

/// Binds `address` for datagrams, and tells with which port. The IPv6 wildcard takes IPv4 too.
pub(crate) fn bind_udp(address: SocketAddr) -> Result<(UdpSocket, SocketAddr), StartError> {
    try_bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::UdpPortInUse { address },
        _ => StartError::ListenUdp { address, source },
    })
}

/// A bound socket with its address.
type Bound<T> = (T, SocketAddr);

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

fn try_bind(address: SocketAddr) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
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
