//! What a handshake yields.

use keccak_asm::{Digest, Keccak256};
use zeroize::{Zeroize, Zeroizing};

use super::xor;
use crate::{
    frame::{Egress, Ingress},
    mac::{Mac, Sponge},
};

/// The secrets of one connection. Zeroed when dropped; never shown by `Debug`.
pub struct Secrets {
    pub(super) aes: [u8; 32],
    pub(super) mac: [u8; 32],
    pub(super) egress: Sponge,
    pub(super) ingress: Sponge,
}

/// What one end has put into the handshake.
pub(super) struct End<'a> {
    pub(super) nonce: &'a [u8; 32],
    /// Its packet as it was on the wire, with the size prefix.
    pub(super) packet: &'a [u8],
}

impl Secrets {
    /// The initiator's secrets, from what the ephemeral keys agreed on.
    pub(super) fn of_initiator(
        shared: &[u8; 32],
        initiator: &End<'_>,
        recipient: &End<'_>,
    ) -> Self {
        let (aes, mac) = derive(shared, initiator, recipient);
        // A MAC begins with the other end's nonce and with the packet that went its way.
        let egress = begin(&mac, recipient.nonce, initiator.packet);
        let ingress = begin(&mac, initiator.nonce, recipient.packet);
        Self { aes: *aes, mac: *mac, egress, ingress }
    }

    /// The recipient's secrets: the same with the directions exchanged.
    pub(super) fn of_recipient(
        shared: &[u8; 32],
        initiator: &End<'_>,
        recipient: &End<'_>,
    ) -> Self {
        let mut secrets = Self::of_initiator(shared, initiator, recipient);
        let Self { egress, ingress, .. } = &mut secrets;
        std::mem::swap(egress, ingress);
        secrets
    }

    /// The two halves of the connection. They are independent of each other.
    pub fn split(self) -> (Egress, Ingress) {
        let egress = Mac::new(&self.mac, self.egress.clone());
        let ingress = Mac::new(&self.mac, self.ingress.clone());
        (Egress::new(&self.aes, egress), Ingress::new(&self.aes, ingress))
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.aes.zeroize();
        self.mac.zeroize();
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// The AES and MAC secrets.
fn derive(
    shared: &[u8; 32],
    initiator: &End<'_>,
    recipient: &End<'_>,
) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let nonces = keccak(recipient.nonce, initiator.nonce);
    let secret = keccak(shared, &nonces);
    let aes = keccak(shared, &secret);
    let mac = keccak(shared, &aes);
    (aes, mac)
}

fn keccak(a: &[u8; 32], b: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let mut hash = Keccak256::new();
    hash.update(a);
    hash.update(b);
    Zeroizing::new(hash.finalize().into())
}

/// What a MAC has absorbed after the handshake.
fn begin(mac: &[u8; 32], nonce: &[u8; 32], packet: &[u8]) -> Sponge {
    let mut sponge = Sponge::new();
    sponge.absorb(&*Zeroizing::new(xor(mac, nonce)));
    sponge.absorb(packet);
    sponge
}
