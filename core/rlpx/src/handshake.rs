//! The encryption handshake: two packets from which both ends know whom they talk to and share
//! fresh secrets ([rlpx.md, initial
//! handshake](https://github.com/ethereum/devp2p/blob/master/rlpx.md#initial-handshake), packets in
//! the form of [EIP-8](https://eips.ethereum.org/EIPS/eip-8)).
//!
//! Not here: deadlines, and what may be held of a packet while it arrives (`connection`). The form
//! before EIP-8 is not spoken: no node has sent it for years.
//!
//! ```text
//!   initiator                                    recipient
//!   Initiator::start  ---- auth ------------>    accept
//!   Initiator::finish <--- ack  -------------      |
//!      | Secrets                                   | Secrets
//! ```

mod packet;
mod secrets;
mod step;
#[cfg(test)]
mod tests;

use peerage_machine::Random;
use peerage_node::{EphemeralKey, PublicKey, SecretKey};
use zeroize::Zeroizing;

use self::packet::{Ack, Auth};
use crate::PeerMisbehaved;

pub use packet::packet_size;
pub use secrets::Secrets;
pub(crate) use step::Stepped;
pub use step::{Step, StepResult};

/// The initiator's half of a handshake, waiting for an ack.
pub struct Initiator {
    ephemeral: EphemeralKey,
    nonce: [u8; 32],
    /// The auth as sent: the MAC of our frames begins with it.
    auth: Vec<u8>,
}

impl Initiator {
    /// Begins a handshake with `remote` and returns the auth packet to send.
    pub fn start(key: &SecretKey, remote: &PublicKey, random: &mut Random) -> (Self, Vec<u8>) {
        let ephemeral = key.ephemeral(random);
        let nonce = random.bytes();
        // The signature binds the ephemeral key to the static one, and the recipient recovers the
        // ephemeral public key from it, so that we never need to derive that.
        let shared = Zeroizing::new(key.agree(remote));
        let signature = ephemeral.sign(&xor(&shared, &nonce));
        let auth = Auth { signature, remote: *key.public(), nonce }.encode(key, remote, random);
        (Self { ephemeral, nonce, auth: auth.clone() }, auth)
    }

    /// Ends the handshake with the recipient's ack: the whole packet, with its size prefix.
    pub fn finish(self, key: &SecretKey, ack: &[u8]) -> Result<Secrets, PeerMisbehaved> {
        let Ack { ephemeral, nonce } = Ack::decode(key, ack)?;
        let shared = Zeroizing::new(self.ephemeral.agree(&ephemeral));
        let initiator = secrets::End { nonce: &self.nonce, packet: &self.auth };
        let recipient = secrets::End { nonce: &nonce, packet: ack };
        Ok(Secrets::of_initiator(&shared, &initiator, &recipient))
    }
}

impl Initiator {
    /// The bytes held besides the value itself.
    pub(crate) const fn memory(&self) -> usize {
        self.auth.capacity()
    }
}

impl std::fmt::Debug for Initiator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Initiator(..)")
    }
}

/// The recipient's end of a handshake, which is done with one packet.
#[derive(Debug)]
pub struct Accepted {
    /// What the connection goes on with.
    pub secrets: Secrets,
    /// The initiator's static key.
    ///
    /// # Security
    ///
    /// Not proven yet. Anybody can name any key: some ephemeral key can be recovered from almost
    /// any signature, and an auth that was seen can be replayed. But only who holds the static key
    /// can sign with an ephemeral key that he knows, so it is the first frame with a right MAC that
    /// proves it.
    pub remote: PublicKey,
    /// The ack packet to send.
    pub ack: Vec<u8>,
}

/// Answers the initiator's auth: the whole packet, with its size prefix.
pub fn accept(
    key: &SecretKey,
    auth: &[u8],
    random: &mut Random,
) -> Result<Accepted, PeerMisbehaved> {
    let ephemeral = key.ephemeral(random);
    let nonce = random.bytes();
    accept_with(key, auth, &ephemeral, nonce, random)
}

/// [`accept`] with the choices that are random there, for the test vectors.
fn accept_with(
    key: &SecretKey,
    auth: &[u8],
    ephemeral: &EphemeralKey,
    nonce: [u8; 32],
    random: &mut Random,
) -> Result<Accepted, PeerMisbehaved> {
    let Auth { signature, remote, nonce: initiator_nonce } = Auth::decode(key, auth)?;
    let shared = Zeroizing::new(key.agree(&remote));
    let initiator_ephemeral = signature
        .recover_with(key.crypto(), &xor(&shared, &initiator_nonce))
        .map_err(|_| PeerMisbehaved::BadHandshake)?;

    let ack = Ack { ephemeral: ephemeral.public(), nonce }.encode(key, &remote, random);
    let shared = Zeroizing::new(ephemeral.agree(&initiator_ephemeral));
    let initiator = secrets::End { nonce: &initiator_nonce, packet: auth };
    let recipient = secrets::End { nonce: &nonce, packet: &ack };
    let secrets = Secrets::of_recipient(&shared, &initiator, &recipient);
    Ok(Accepted { secrets, remote, ack })
}

fn xor(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|i| a[i] ^ b[i])
}
