//! What a connection is given at its start.

use std::time::Duration;

use peerage_node::{PublicKey, SecretKey};

use crate::{LaneLimits, LocalCapability};

/// What all connections of a node have in common: there is one in an `Arc` for all of them.
#[derive(Clone, Debug)]
#[non_exhaustive]
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
    /// How much may wait on the lane of a capability.
    pub lanes: LaneLimits,
}

impl Config {
    /// The settings of a node with this key and this name and version of its software, which
    /// announces no capability.
    pub fn new(key: SecretKey, client: impl Into<String>) -> Self {
        Self {
            key,
            client: client.into(),
            capabilities: Vec::new(),
            listen_port: 0,
            timeouts: Timeouts::default(),
            lanes: LaneLimits::default(),
        }
    }

    /// The same settings with these [`capabilities`](Self::capabilities).
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Vec<LocalCapability>) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// The same settings with this [`listen_port`](Self::listen_port).
    #[must_use]
    pub const fn with_listen_port(mut self, listen_port: u16) -> Self {
        self.listen_port = listen_port;
        self
    }

    /// The same settings with these [`timeouts`](Self::timeouts).
    #[must_use]
    pub const fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The same settings with these bounds of [`lanes`](Self::lanes).
    #[must_use]
    pub const fn with_lanes(mut self, lanes: LaneLimits) -> Self {
        self.lanes = lanes;
        self
    }
}

/// How long a connection waits for what. None of them is zero; `Duration::MAX` is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

impl Timeouts {
    /// The same settings with another [`handshake`](Self::handshake).
    #[must_use]
    pub const fn with_handshake(mut self, handshake: Duration) -> Self {
        self.handshake = handshake;
        self
    }

    /// The same settings with another [`ping_interval`](Self::ping_interval).
    #[must_use]
    pub const fn with_ping_interval(mut self, ping_interval: Duration) -> Self {
        self.ping_interval = ping_interval;
        self
    }

    /// The same settings with another [`idle`](Self::idle).
    #[must_use]
    pub const fn with_idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// The same settings with another [`write`](Self::write).
    #[must_use]
    pub const fn with_write(mut self, write: Duration) -> Self {
        self.write = write;
        self
    }

    /// The same settings with another [`close`](Self::close).
    #[must_use]
    pub const fn with_close(mut self, close: Duration) -> Self {
        self.close = close;
        self
    }
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
