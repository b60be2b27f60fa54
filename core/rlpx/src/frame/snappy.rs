//! Compression of payloads: snappy's block format, without its framing
//! ([EIP-706](https://eips.ethereum.org/EIPS/eip-706)).

use bytes::Bytes;

use super::{Compressed, MAX_PAYLOAD, PayloadTooLarge};
use crate::PeerMisbehaved;

/// How much of a payload snappy looks at in one go: nothing in a compressed payload refers to what
/// lies before its block, so that blocks can be compressed one by one.
const BLOCK: usize = 1 << 16;

/// No snappy element makes more than 64 bytes out of 3, so no valid payload grows more than this.
const MAX_GROWTH: usize = 22;

/// What compressing needs: the library's tables (2 KiB, 34 KiB after a block above 1 KiB), and room
/// for one block. Once grown, it allocates nothing of its own.
///
/// Every [`Egress`](super::Egress) has one when it needs one; whoever sends one payload to many
/// peers has another.
pub struct Compressor {
    encoder: snap::raw::Encoder,
    /// The library writes only into memory that is initialised. Compressing block by block into
    /// this, which stays in the CPU's cache, and copying is faster than initialising room for the
    /// whole payload at each message.
    block: Vec<u8>,
}

impl Compressor {
    /// A compressor that has compressed nothing yet.
    pub fn new() -> Self {
        Self { encoder: snap::raw::Encoder::new(), block: Vec::new() }
    }

    /// Compresses `payload` for any number of connections.
    pub fn compress(&mut self, payload: impl Into<Bytes>) -> Result<Compressed, PayloadTooLarge> {
        let payload = payload.into();
        if payload.len() > MAX_PAYLOAD {
            return Err(PayloadTooLarge(payload.len()));
        }
        let mut snappy = Vec::new();
        self.append(&payload, &mut snappy);
        Ok(Compressed { payload, snappy: snappy.into() })
    }

    /// Appends `payload`, which is at most [`MAX_PAYLOAD`] long, to `out`.
    pub(super) fn append(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        encode_length(payload.len(), out);
        for block in payload.chunks(BLOCK) {
            let room = snap::raw::max_compress_len(block.len());
            if self.block.len() < room {
                self.block.resize(room, 0);
            }
            let length = self
                .encoder
                .compress(block, &mut self.block)
                .expect("because the block has the room that the library asks for");
            // The library writes a length before each block; the one that counts is above.
            out.extend_from_slice(&self.block[length_of_length(block.len())..length]);
        }
    }

    /// The bytes held besides the compressor itself.
    pub(super) fn memory(&self) -> usize {
        /// The table of the library, which it makes for the first block larger than this, and
        /// keeps.
        const TABLE: usize = 2 << 14;
        const SMALL: usize = 1 << 10;
        let table = if self.block.len() > snap::raw::max_compress_len(SMALL) { TABLE } else { 0 };
        table + self.block.capacity()
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// Decompresses `data` into `payload`, in place of what that held.
///
/// # Security
///
/// The announced length is checked against the limit, and against what `data` could become at most,
/// before memory is taken for it (snappy bomb).
pub(super) fn decompress(data: &[u8], payload: &mut Vec<u8>) -> Result<(), PeerMisbehaved> {
    let length = snap::raw::decompress_len(data).map_err(|_| PeerMisbehaved::BadSnappy)?;
    if length > MAX_PAYLOAD {
        return Err(PeerMisbehaved::SnappyBomb(length as u64));
    }
    if length > data.len() * MAX_GROWTH {
        return Err(PeerMisbehaved::BadSnappy);
    }
    // What is there is overwritten below, so only growth is initialised.
    payload.resize(length, 0);
    snap::raw::Decoder::new()
        .decompress(data, payload)
        .map(|_| ())
        .map_err(|_| PeerMisbehaved::BadSnappy)
}

/// Appends a length as snappy writes it: 7 bits per byte, the lowest first.
fn encode_length(mut length: usize, out: &mut Vec<u8>) {
    while length > 0x7f {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// How many bytes [`encode_length`] makes of the length of a block.
const fn length_of_length(block: usize) -> usize {
    1 + (block > 0x7f) as usize + (block > 0x3fff) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_compressed_one_by_one_are_what_the_library_makes_of_the_whole() {
        let mut compressor = Compressor::new();
        let edges = [0x7f, 0x80, 0x3fff, 0x4000, BLOCK, 2 * BLOCK, 5 * BLOCK];
        let lengths = edges.iter().flat_map(|edge| [edge - 1, *edge, edge + 1]);
        for length in lengths.chain([0, 1, 17, 1000]) {
            let repetitive: Vec<u8> = (0..length).map(|i| (i / 100 + i % 7) as u8).collect();
            let noise: Vec<u8> = (0..length).map(|i| (i * i * 31 / 7) as u8).collect();
            for payload in [repetitive, noise] {
                let mut out = b"before".to_vec();
                compressor.append(&payload, &mut out);
                let whole = snap::raw::Encoder::new().compress_vec(&payload).unwrap();
                assert!(out[6..] == whole, "{length} bytes");
            }
        }
    }
}
