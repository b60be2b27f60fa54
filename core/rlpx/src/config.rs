//! What a connection is given at its start.

use std::time::Duration;

use peerage_node::{PublicKey, SecretKey};

use crate::LocalCapability;

/// What all connections of a node have in common; shared between them in an `Arc`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's key.
    pub key: SecretKey,
    /// Name and version of the software, as Hello says it. Peers refuse a Hello above 2,048 bytes,
    /// which this and the capabilities share.
    pub client: String,
    /// The capabilities that Hello announces. No two with the same name and version.
    pub capabilities: Vec<LocalCapability>,
    /// Where the node listens, as Hello says it. Obsolete: nobody uses it, and 0 is what most send.
    pub listen_port: u16,
    /// When to give up.
    pub timeouts: Timeouts,
}

/// How long a connection waits for what. None of them is zero; `Duration::MAX` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Auth, ack and Hello together, from the first moment of the connection.
    pub handshake: Duration,
    /// From one ping of ours to the next.
    pub ping_interval: Duration,
    /// Without a byte from the peer.
    pub idle: Duration,
    /// Without the peer taking a byte of what there is to write.
    pub write: Duration,
    /// For what is still to be written once the connection has ended, the reason last.
    pub close: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // Eight round trips around the world; a stranger holds a handshake slot no longer than
            // this.
            handshake: Duration::from_secs(10),
            // As go-ethereum. Fits twice into `idle`, so that one lost ping ends nothing.
            ping_interval: Duration::from_secs(15),
            idle: Duration::from_secs(30),
            // As go-ethereum, but a peer that is slow and gets on is not cut off.
            write: Duration::from_secs(20),
            // A courtesy to somebody who leaves: enough for one round trip and a retransmission.
            close: Duration::from_secs(2),
        }
    }
}

/// Which end of a connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We opened it, and know whom to.
    Initiator {
        /// The key of the node that we mean to reach.
        remote: PublicKey,
    },
    /// We were called.
    Recipient,
}
