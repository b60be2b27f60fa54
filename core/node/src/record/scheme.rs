//! The "v4" identity scheme: how a record is signed, and by whom.
//!
//! The library `enr` would take our keys through its trait `EnrKey`, but that trait returns a type
//! the library does not export, so no other crate can implement it; its own signers are k256 and a
//! second copy of libsecp256k1. These few lines are what it would have done for us.
//!
//! Spec: [EIP-778, "v4" identity
//! scheme](https://eips.ethereum.org/EIPS/eip-778#v4-identity-scheme).

use alloy_rlp::Header;
use keccak_asm::{Digest, Keccak256};

use crate::{Crypto, PublicKey, SecretKey};

/// The value of the key `id` in records of this scheme.
pub(crate) const NAME: &[u8] = b"v4";

/// Signs `content`: sequence number and pairs, each in RLP, without the header of the list.
///
/// Deterministic (RFC 6979): the same record always has the same bytes.
pub(crate) fn sign(key: &SecretKey, content: &[u8]) -> [u8; 64] {
    let signature = key.sign(&digest(content)).to_bytes();
    let mut rs = [0; 64];
    rs.copy_from_slice(&signature[..64]);
    rs
}

/// Whether `key` signed `content`.
pub(crate) fn verify(
    crypto: Crypto,
    key: &PublicKey,
    content: &[u8],
    signature: &[u8; 64],
) -> bool {
    key.verify_with(crypto, &digest(content), signature)
}

/// What is signed is the Keccak-256 of the content as an RLP list.
fn digest(content: &[u8]) -> [u8; 32] {
    let mut header = Vec::with_capacity(3);
    Header { list: true, payload_length: content.len() }.encode(&mut header);
    Keccak256::new().chain_update(&header).chain_update(content).finalize().into()
}
