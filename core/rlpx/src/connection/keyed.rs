//! A connection between the encryption handshake and the second verdict.

use peerage_machine::Now;
use peerage_node::PublicKey;

use crate::{
    DisconnectReason, Egress, Goodbye, Hello, Ingress, MAX_FRAME, Timeouts, code, outgoing::Outbox,
};

/// The first version of the `p2p` protocol with snappy
/// ([EIP-706](https://eips.ethereum.org/EIPS/eip-706)).
const SNAPPY_VERSION: u64 = 5;

/// A connection with keys for both directions.
#[derive(Debug)]
pub(super) struct Keyed {
    pub(super) remote: PublicKey,
    pub(super) egress: Egress,
    pub(super) ingress: Ingress,
    pub(super) out: Outbox,
}

impl Keyed {
    /// Says Hello.
    pub(super) fn greet(&mut self, now: Now, hello: &Hello) {
        let mut payload = Vec::new();
        hello.encode(&mut payload);
        self.egress
            .seal(code::HELLO, &payload, self.out.back(now.mono))
            .expect("because nobody's name and capabilities take 16 MiB");
    }

    /// Goes over to what holds after Hello: large frames and, if the peer speaks it, snappy.
    pub(super) fn upgrade(&mut self, peer_version: Option<u64>) {
        self.ingress.set_limit(MAX_FRAME);
        if peer_version.is_some_and(|version| version >= SNAPPY_VERSION) {
            self.egress.enable_snappy();
            self.ingress.enable_snappy();
        }
    }

    /// Ends the connection for `reason`.
    pub(super) fn disconnect(
        self,
        now: Now,
        reason: DisconnectReason,
        timeouts: &Timeouts,
    ) -> Goodbye {
        Goodbye::new(now, reason, self.egress, self.out, timeouts)
    }

    /// Frees the buffers that hold nothing.
    pub(super) fn release(&mut self) {
        self.out.release();
        self.ingress.release();
        self.egress.release();
    }

    /// The bytes held besides the value itself.
    pub(super) fn memory(&self) -> usize {
        self.egress.memory() + self.ingress.memory() + self.out.memory()
    }
}
