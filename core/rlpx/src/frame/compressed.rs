//! A payload that was compressed once, to be sent on any number of connections.

use bytes::Bytes;

/// A payload as it goes on the wire, made by a [`Compressor`](super::Compressor).
///
/// Needs no connection and belongs to none. A clone costs two counters: the bytes are shared.
#[derive(Clone)]
pub struct Compressed {
    /// For peers that speak version 4 of the `p2p` protocol, which has no snappy.
    pub(super) payload: Bytes,
    pub(super) snappy: Bytes,
}

impl Compressed {
    /// The payload as it was before.
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// How many bytes it is when it is compressed.
    pub const fn compressed_len(&self) -> usize {
        self.snappy.len()
    }
}

impl std::fmt::Debug for Compressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressed")
            .field("payload", &self.payload.len())
            .field("snappy", &self.snappy.len())
            .finish()
    }
}
