//! What two ends hold between the encryption handshake and the end.

use peerage_machine::Now;
use peerage_node::PublicKey;

use super::{Outbox, Pulse, Timeouts};
use crate::{
    Egress, Fault, Ingress, MAX_FRAME, PeerMisbehaved, Shared, code, disconnect, negotiate,
};

/// Both directions, keyed.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) remote: PublicKey,
    pub(super) egress: Egress,
    pub(super) ingress: Ingress,
}

impl Link {
    /// The bytes held besides the value itself.
    pub(super) fn memory(&self) -> usize {
        self.egress.memory() + self.ingress.memory()
    }

    /// Goes over to what holds after Hello: large frames and, if the peer speaks it, snappy.
    pub(super) fn upgrade(&mut self, peer_version: Option<u64>) {
        self.ingress.set_limit(MAX_FRAME);
        if peer_version.is_some_and(|version| version >= SNAPPY_VERSION) {
            self.egress.enable_snappy();
            self.ingress.enable_snappy();
        }
    }
}

/// The first version of the `p2p` protocol with snappy
/// ([EIP-706](https://eips.ethereum.org/EIPS/eip-706)).
const SNAPPY_VERSION: u64 = 5;

/// A link whose ends have said Hello.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) link: Link,
    pub(super) shared: Vec<Shared>,
}

/// A session that both ends have admitted.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) session: Box<Session>,
    pub(super) pulse: Pulse,
}

impl Open {
    /// Takes bytes from the front of `input`, up to the end of a capability's message or of
    /// `input`. Returns the message's capability, as an index in `shared`, and its id there;
    /// answers the messages of the `p2p` protocol on the way.
    pub(super) fn receive(
        &mut self,
        now: Now,
        input: &mut &mut [u8],
        payload: &mut Vec<u8>,
        out: &mut Outbox,
        timeouts: &Timeouts,
    ) -> Result<Option<(usize, u64)>, Fault> {
        if !input.is_empty() {
            self.pulse.on_bytes(now.mono);
        }
        while let Some(code) = self.session.link.ingress.open(input, payload)? {
            if let Some(found) = negotiate::route(&self.session.shared, code) {
                return Ok(Some(found));
            }
            self.on_base(now, code, payload, out, timeouts)?;
        }
        Ok(None)
    }

    /// Sends a ping, unless the last one has not even left.
    pub(super) fn ping(&mut self, now: Now, out: &mut Outbox) {
        if out.is_written(self.pulse.ping_end) {
            self.send_base(now, code::PING, out);
            self.pulse.ping_end = out.end();
            self.pulse.pinged(now.mono);
        }
    }

    /// A message that belongs to no shared capability.
    fn on_base(
        &mut self,
        now: Now,
        code: u64,
        payload: &[u8],
        out: &mut Outbox,
        timeouts: &Timeouts,
    ) -> Result<(), Fault> {
        match code {
            code::HELLO => Err(PeerMisbehaved::SecondHello.into()),
            code::DISCONNECT => Err(Fault::Remote(disconnect::decode(payload))),
            code::PING => {
                self.pulse.on_ping(now.mono, timeouts)?;
                // One pong that still waits says as much as two, and two could be made a million.
                if out.is_written(self.pulse.pong_end) {
                    self.send_base(now, code::PONG, out);
                    self.pulse.pong_end = out.end();
                }
                Ok(())
            }
            code::PONG => {
                self.pulse.on_pong(now.mono);
                Ok(())
            }
            // Reserved: somebody may have a use for them that we need not know.
            code::FIRST_UNDEFINED..code::FIRST_SHARED => Ok(()),
            code => Err(PeerMisbehaved::OutOfRange(code).into()),
        }
    }

    /// Sends a ping or a pong.
    fn send_base(&mut self, now: Now, code: u64, out: &mut Outbox) {
        const EMPTY_LIST: &[u8] = &[0xc0];
        out.seal(now.mono, &mut self.session.link.egress, code, EMPTY_LIST)
            .expect("because a frame has room for a byte");
    }
}
