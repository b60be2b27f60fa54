//! Names of disconnect reasons, for programs that read our JSON.

use peerage::DisconnectReason;

/// A name of the reason that programs can compare; the code beside it tells the others apart.
pub(crate) const fn name(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::Requested => "requested",
        DisconnectReason::TcpError => "tcp_error",
        DisconnectReason::BreachOfProtocol => "breach_of_protocol",
        DisconnectReason::UselessPeer => "useless_peer",
        DisconnectReason::TooManyPeers => "too_many_peers",
        DisconnectReason::AlreadyConnected => "already_connected",
        DisconnectReason::IncompatibleVersion => "incompatible_version",
        DisconnectReason::InvalidIdentity => "invalid_identity",
        DisconnectReason::ClientQuitting => "client_quitting",
        DisconnectReason::UnexpectedIdentity => "unexpected_identity",
        DisconnectReason::ConnectedToSelf => "connected_to_self",
        DisconnectReason::Timeout => "timeout",
        DisconnectReason::SubprotocolReason => "subprotocol_reason",
        DisconnectReason::Other(_) => "other",
    }
}
