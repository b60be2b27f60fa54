//! Frames: how messages travel once the handshake has given both ends their secrets
//! ([rlpx.md, framing](https://github.com/ethereum/devp2p/blob/master/rlpx.md#framing)).
//!
//! The two directions of a connection share nothing, so each is a value of its own that may live on
//! its own thread: [`Egress`] seals messages, [`Ingress`] opens them. Sealing is three steps with a
//! type between each, so that one payload can be sent to many peers: [`Compressed`] is made once
//! for all of them, [`Unsealed`] is encrypted for one, and [`seal_all`] seals those of many. What
//! messages mean is not known here, save for one concession to a Disconnect.
//!
//! ```text
//!   header (16, encrypted) | header MAC (16) | body (encrypted, padded to 16) | frame MAC (16)
//!     size (3) 0xc2 0x80 0x80 0..              message id (RLP), payload (snappy)
//! ```

mod compressed;
mod egress;
mod ingress;
mod snappy;
#[cfg(test)]
mod tests;
mod unsealed;

use aes::cipher::{Array, KeyIvInit, consts::U16};
use ctr::{CtrCore, cipher::StreamCipherCore, flavors};

pub use compressed::Compressed;
pub use egress::{Egress, PayloadTooLarge};
pub use ingress::Ingress;
pub use snappy::Compressor;
pub use unsealed::{Unsealed, seal_all};

use crate::mac::Tag;

/// Bytes of a frame header without its MAC.
const HEADER: usize = 16;

/// Bytes before the body: a header and its MAC.
const HEAD: usize = HEADER + Tag::SIZE;

/// The largest frame: its size is 3 bytes on the wire.
pub const MAX_FRAME: usize = 0xff_ffff;

/// The largest payload, decompressed: 16 MiB less one byte, as go-ethereum has it. Without it, 1
/// MiB of snappy could become 20 MiB of memory.
///
/// Random data does not compress, and snappy adds about 800 bytes to 16 MiB of it: a message of
/// this size that cannot be compressed by as much ends the connection, as no frame can hold it.
pub const MAX_PAYLOAD: usize = 0xff_ffff;

/// The largest frame until Hello has been received: a stranger costs no more memory than this.
pub const MAX_HELLO: usize = 2048;

/// What a payload is on the wire, for the fuzz targets.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn compress(payload: &[u8], out: &mut Vec<u8>) {
    Compressor::new().append(payload, out);
}

/// What a payload on the wire is, for the fuzz targets.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn decompress(data: &[u8], out: &mut Vec<u8>) -> Result<(), crate::PeerMisbehaved> {
    snappy::decompress(data, out)
}

/// The size of a frame on the wire behind its head: the padded body and its MAC.
const fn tail(size: usize) -> usize {
    size.next_multiple_of(16) + Tag::SIZE
}

/// The stream cipher of one direction: AES-256 in counter mode, used in whole blocks, since every
/// part of a frame is padded to them.
///
/// The counter starts at zero and its lower half alone would take 2^64 blocks to wrap, so the
/// 64-bit counter, for which the library has faster code, gives the same stream as the specified
/// 128-bit one.
struct Stream(CtrCore<aes::Aes256Enc, flavors::Ctr64BE>);

impl Stream {
    fn new(secret: &[u8; 32]) -> Self {
        Self(CtrCore::new(secret.into(), &[0; 16].into()))
    }

    /// Encrypts or decrypts whole blocks in place.
    fn apply(&mut self, bytes: &mut [u8]) {
        let (blocks, rest) = Array::<u8, U16>::slice_as_chunks_mut(bytes);
        debug_assert!(rest.is_empty(), "because every part of a frame is padded to whole blocks");
        self.0.apply_keystream_blocks(blocks);
    }
}
