//! Why a connection closed, and whose fault it was.

use std::time::Duration;

use crate::DisconnectReason;

/// Why a connection closed. Every closed connection has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// We ended it: a decision, a full server, a shutdown.
    #[error("we disconnected: {0}")]
    Local(LocalFault),
    /// The peer speaks the protocol, but not in a way that fits ours.
    #[error("incompatible peer: {0}")]
    PeerIncompatible(PeerIncompatible),
    /// The peer broke the protocol.
    #[error("peer misbehaved: {0}")]
    PeerMisbehaved(PeerMisbehaved),
    /// The peer sent a Disconnect.
    #[error("peer disconnected: {0}")]
    Remote(DisconnectReason),
}

/// What ended a connection at our end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocalFault {
    /// We sent a Disconnect with this reason.
    #[error("{0}")]
    Disconnected(DisconnectReason),
    /// The transport ended or failed before either end had sent a Disconnect.
    #[error("the connection was lost")]
    Lost,
}

/// What does not fit between a correct peer and us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerIncompatible {
    /// The `p2p` version in its Hello is below 4.
    #[error("its p2p version {0} is not spoken here")]
    Version(u64),
}

/// What a peer did that no correct peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// An auth or ack that is malformed, or not encrypted to us.
    #[error("its handshake packet cannot be decrypted or decoded")]
    BadHandshake,
    /// A frame header whose MAC does not fit.
    #[error("the MAC of a frame header is wrong")]
    BadHeaderMac,
    /// A frame body whose MAC does not fit.
    #[error("the MAC of a frame is wrong")]
    BadFrameMac,
    /// A Hello that does not decode.
    #[error("its Hello cannot be decoded")]
    BadHello,
    /// A message id that does not decode as an integer.
    #[error("a message id cannot be decoded")]
    BadMessageId,
    /// A payload that is not snappy, though both ends agreed on snappy.
    #[error("a payload is not valid snappy")]
    BadSnappy,
    /// A frame larger than is allowed at this stage.
    #[error("a frame of {size} bytes, where at most {limit} are allowed")]
    FrameTooLarge {
        /// The size announced in the frame header.
        size: usize,
        /// The largest size allowed at this stage.
        limit: usize,
    },
    /// A handshake packet shorter or longer than any correct one.
    #[error("a handshake packet of {0} bytes")]
    HandshakeSize(usize),
    /// The identity in Hello is malformed.
    #[error("the identity in its Hello is not a public key")]
    InvalidIdentity,
    /// A public key in the handshake that is not on the curve.
    #[error("a public key in its handshake is not on the curve")]
    NotOnCurve,
    /// A message id outside every shared capability.
    #[error("message id {0:#x} belongs to no shared capability")]
    OutOfRange(u64),
    /// More pings than a correct peer has a use for.
    #[error("a flood of pings")]
    PingFlood,
    /// A second Hello.
    #[error("a second Hello")]
    SecondHello,
    /// A payload that says it decompresses to more than is allowed.
    #[error("a payload that decompresses to {0} bytes")]
    SnappyBomb(u64),
    /// Nothing was heard, or nothing could be written, for too long.
    #[error("timed out after {0:?} while {1}")]
    TimedOut(Duration, Waiting),
    /// Something other than Hello or Disconnect before Hello.
    #[error("message id {0:#x} came before its Hello")]
    UnexpectedBeforeHello(u64),
    /// The identity in Hello is not that of the encryption handshake.
    #[error("the identity in its Hello is not that of its handshake")]
    UnexpectedIdentity,
}

/// What was being waited for when a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// The end of auth, ack and Hello together.
    Handshaking,
    /// Any message at all.
    Idle,
    /// The peer to take what we write.
    Writing,
}

impl From<PeerMisbehaved> for Fault {
    fn from(what: PeerMisbehaved) -> Self {
        Self::PeerMisbehaved(what)
    }
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Handshaking => "shaking hands",
            Self::Idle => "waiting for any message",
            Self::Writing => "waiting for it to read",
        })
    }
}

impl Fault {
    /// The reason to send before closing for this fault; `None` where nothing is to be sent: the
    /// peer said goodbye itself, or nothing can reach it.
    pub const fn reason_to_send(&self) -> Option<DisconnectReason> {
        use DisconnectReason as Reason;
        match self {
            Self::Local(LocalFault::Disconnected(reason)) => Some(*reason),
            Self::Local(LocalFault::Lost) | Self::Remote(_) => None,
            Self::PeerIncompatible(PeerIncompatible::Version(_)) => {
                Some(Reason::IncompatibleVersion)
            }
            Self::PeerMisbehaved(what) => match what {
                // Without the keys of a finished handshake there is no frame to send a reason in;
                // after a wrong MAC our own direction still works.
                PeerMisbehaved::BadHandshake
                | PeerMisbehaved::HandshakeSize(_)
                | PeerMisbehaved::NotOnCurve
                | PeerMisbehaved::TimedOut(_, Waiting::Writing) => None,
                PeerMisbehaved::BadHeaderMac
                | PeerMisbehaved::BadFrameMac
                | PeerMisbehaved::BadHello
                | PeerMisbehaved::BadMessageId
                | PeerMisbehaved::BadSnappy
                | PeerMisbehaved::FrameTooLarge { .. }
                | PeerMisbehaved::OutOfRange(_)
                | PeerMisbehaved::PingFlood
                | PeerMisbehaved::SecondHello
                | PeerMisbehaved::SnappyBomb(_)
                | PeerMisbehaved::UnexpectedBeforeHello(_) => Some(Reason::BreachOfProtocol),
                PeerMisbehaved::InvalidIdentity => Some(Reason::InvalidIdentity),
                PeerMisbehaved::UnexpectedIdentity => Some(Reason::UnexpectedIdentity),
                PeerMisbehaved::TimedOut(_, Waiting::Handshaking | Waiting::Idle) => {
                    Some(Reason::Timeout)
                }
            },
        }
    }

    /// The reason to report to people: what was or would have been on the wire.
    pub fn reason(&self) -> DisconnectReason {
        match self {
            Self::Remote(reason) => *reason,
            fault => fault.reason_to_send().unwrap_or(match fault {
                Self::PeerMisbehaved(PeerMisbehaved::TimedOut(..)) => DisconnectReason::Timeout,
                Self::PeerMisbehaved(_) => DisconnectReason::BreachOfProtocol,
                _ => DisconnectReason::TcpError,
            }),
        }
    }

    /// Whether the end came from us: a decision of ours, or our answer to the peer's fault.
    pub const fn is_by_us(&self) -> bool {
        !matches!(self, Self::Remote(_) | Self::Local(LocalFault::Lost))
    }
}
