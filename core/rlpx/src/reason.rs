//! Why a connection ends, as the wire says it
//! ([rlpx.md, Disconnect](https://github.com/ethereum/devp2p/blob/master/rlpx.md#disconnect-0x01)).

use std::fmt;

/// The reason that a Disconnect message carries.
///
/// Not `#[non_exhaustive]`: [`Other`](Self::Other) holds every value that the specification may yet
/// define, so nothing a peer sends is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DisconnectReason {
    /// 0x00: somebody asked for it.
    Requested,
    /// 0x01: the TCP connection failed. Never sent: there is nothing left to send it on.
    TcpError,
    /// 0x02: a breach of protocol, such as a malformed message or a bad RLP.
    BreachOfProtocol,
    /// 0x03: no capability in common, or nothing of use to us.
    UselessPeer,
    /// 0x04: no slot is free.
    TooManyPeers,
    /// 0x05: there is a connection to this node already.
    AlreadyConnected,
    /// 0x06: the version of the `p2p` protocol is not spoken.
    IncompatibleVersion,
    /// 0x07: the identity in Hello is malformed.
    InvalidIdentity,
    /// 0x08: the client is shutting down.
    ClientQuitting,
    /// 0x09: the identity in Hello is not that of the encryption handshake.
    UnexpectedIdentity,
    /// 0x0a: the connection leads to ourselves.
    ConnectedToSelf,
    /// 0x0b: nothing was heard, or nothing could be written, for too long.
    Timeout,
    /// 0x10: a reason of the capability's own.
    SubprotocolReason,
    /// Any other value, or 0xff where a Disconnect could not be decoded.
    Other(u8),
}

impl DisconnectReason {
    /// The value on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Requested => 0x00,
            Self::TcpError => 0x01,
            Self::BreachOfProtocol => 0x02,
            Self::UselessPeer => 0x03,
            Self::TooManyPeers => 0x04,
            Self::AlreadyConnected => 0x05,
            Self::IncompatibleVersion => 0x06,
            Self::InvalidIdentity => 0x07,
            Self::ClientQuitting => 0x08,
            Self::UnexpectedIdentity => 0x09,
            Self::ConnectedToSelf => 0x0a,
            Self::Timeout => 0x0b,
            Self::SubprotocolReason => 0x10,
            Self::Other(code) => code,
        }
    }

    /// The reason that `code` stands for on the wire.
    pub const fn from_code(code: u8) -> Self {
        match code {
            0x00 => Self::Requested,
            0x01 => Self::TcpError,
            0x02 => Self::BreachOfProtocol,
            0x03 => Self::UselessPeer,
            0x04 => Self::TooManyPeers,
            0x05 => Self::AlreadyConnected,
            0x06 => Self::IncompatibleVersion,
            0x07 => Self::InvalidIdentity,
            0x08 => Self::ClientQuitting,
            0x09 => Self::UnexpectedIdentity,
            0x0a => Self::ConnectedToSelf,
            0x0b => Self::Timeout,
            0x10 => Self::SubprotocolReason,
            code => Self::Other(code),
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Requested => "disconnect requested",
            Self::TcpError => "tcp error",
            Self::BreachOfProtocol => "breach of protocol",
            Self::UselessPeer => "useless peer",
            Self::TooManyPeers => "too many peers",
            Self::AlreadyConnected => "already connected",
            Self::IncompatibleVersion => "incompatible p2p version",
            Self::InvalidIdentity => "invalid identity",
            Self::ClientQuitting => "client quitting",
            Self::UnexpectedIdentity => "unexpected identity",
            Self::ConnectedToSelf => "connected to self",
            Self::Timeout => "timeout",
            Self::SubprotocolReason => "subprotocol reason",
            Self::Other(code) => return write!(f, "unknown reason {code:#04x}"),
        };
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_way_to_a_reason_and_back() {
        for code in 0..=u8::MAX {
            assert_eq!(DisconnectReason::from_code(code).code(), code);
        }
    }
}
