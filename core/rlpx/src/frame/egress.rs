//! The sending half: messages into frames, in three steps: compress, encrypt in place, seal.

use super::{Compressed, Compressor, HEAD, HEADER, MAX_FRAME, MAX_PAYLOAD, Stream, Unsealed, tail};
use crate::mac::{Mac, Tag};

/// A payload that no frame can carry. Nothing was sealed, the connection is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a payload of {0} bytes is too large for a frame")]
pub struct PayloadTooLarge(pub usize);

/// The sending half of a connection.
///
/// Frames must reach the peer in the order in which they were encrypted, all of them.
pub struct Egress {
    stream: Stream,
    mac: Mac,
    snappy: bool,
    /// Made at the first compression, kept so that a busy connection allocates nothing per message,
    /// dropped by [`release`](Self::release).
    pub(super) compressor: Option<Box<Compressor>>,
}

impl Egress {
    pub(crate) fn new(aes_secret: &[u8; 32], mac: Mac) -> Self {
        Self { stream: Stream::new(aes_secret), mac, snappy: false, compressor: None }
    }

    /// Appends one message to `out` as a frame, all three steps at once: the payload is compressed
    /// to its place in `out`, encrypted there, and sealed.
    ///
    /// While `out` has room, nothing is allocated.
    pub fn seal(
        &mut self,
        code: u64,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), PayloadTooLarge> {
        self.encrypt(code, payload, out).map(Unsealed::seal)
    }

    /// Appends one message to `out` as a frame that is not sealed: compressed and encrypted.
    pub fn encrypt<'a>(
        &'a mut self,
        code: u64,
        payload: &[u8],
        out: &'a mut Vec<u8>,
    ) -> Result<Unsealed<'a>, PayloadTooLarge> {
        if payload.len() > MAX_PAYLOAD {
            return Err(PayloadTooLarge(payload.len()));
        }
        let start = begin(code, out);
        if self.snappy {
            self.compressor.get_or_insert_default().append(payload, out);
        } else {
            out.extend_from_slice(payload);
        }
        self.finish(start, payload.len(), out)
    }

    /// As [`encrypt`](Self::encrypt), of a payload that was compressed before.
    pub fn encrypt_compressed<'a>(
        &'a mut self,
        code: u64,
        payload: &Compressed,
        out: &'a mut Vec<u8>,
    ) -> Result<Unsealed<'a>, PayloadTooLarge> {
        let start = begin(code, out);
        out.extend_from_slice(if self.snappy { &payload.snappy } else { &payload.payload });
        self.finish(start, payload.payload.len(), out)
    }

    /// Compresses the payloads of all further messages: both ends have said Hello.
    pub fn enable_snappy(&mut self) {
        self.snappy = true;
    }

    /// Frees what only sealing needs; the next message makes it again. For connections that idle.
    pub fn release(&mut self) {
        self.compressor = None;
    }

    /// The bytes held to compress with.
    pub(crate) fn memory(&self) -> usize {
        self.compressor.as_deref().map_or(0, |it| size_of::<Compressor>() + it.memory())
    }

    /// Makes an unsealed frame of what lies in `out` from `start` on: the place of a head, and a
    /// body.
    fn finish<'a>(
        &'a mut self,
        start: usize,
        payload: usize,
        out: &'a mut Vec<u8>,
    ) -> Result<Unsealed<'a>, PayloadTooLarge> {
        let size = out.len() - start - HEAD;
        if size > MAX_FRAME {
            out.truncate(start);
            return Err(PayloadTooLarge(payload));
        }
        // Padding of the body, and the place of the frame's MAC.
        out.resize(start + HEAD + tail(size), 0);
        let frame = &mut out[start..];
        // The header is written where its MAC will be, next to the body: both are then encrypted in
        // one go, and the header moved to its place.
        frame[HEADER..HEADER + 6].copy_from_slice(&head(size));
        let end = frame.len() - Tag::SIZE;
        self.stream.apply(&mut frame[HEADER..end]);
        frame.copy_within(HEADER..HEAD, 0);
        Ok(Unsealed::new(&mut self.mac, frame))
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").field("snappy", &self.snappy).finish_non_exhaustive()
    }
}

/// Appends the place of a head, and a message id. Returns where the frame starts.
fn begin(code: u64, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    encode_id(code, out);
    start
}

/// The first bytes of a frame header: the frame's size, and header data (capability id and context
/// id, both 0) that nobody reads.
fn head(size: usize) -> [u8; 6] {
    let size = u32::try_from(size).expect("because a frame is below 2^24 bytes").to_be_bytes();
    [size[1], size[2], size[3], 0xc2, 0x80, 0x80]
}

/// Appends a message id as an RLP integer.
fn encode_id(code: u64, out: &mut Vec<u8>) {
    match code {
        0 => out.push(0x80),
        1..=0x7f => out.push(code.to_le_bytes()[0]),
        _ => {
            let bytes = code.to_be_bytes();
            let significant = &bytes[(code.leading_zeros() / 8) as usize..];
            out.push(0x80 + significant.len() as u8);
            out.extend_from_slice(significant);
        }
    }
}
