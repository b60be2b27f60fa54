//! A frame that is encrypted and has no MACs yet.

use super::{HEAD, HEADER};
use crate::mac::{Mac, Tag};

/// A frame at its place in a buffer: encrypted, with room for the MACs of its header and its body.
///
/// It holds on to its [`Egress`](super::Egress), so that frames of one connection are sealed in the
/// order in which they were encrypted, and frames of several connections can be
/// [sealed together](seal_all). The cipher has moved on, so a frame cannot be taken back: dropped,
/// it is sealed too.
#[must_use = "what is encrypted is to be sealed, with others where there are others"]
pub struct Unsealed<'a> {
    mac: &'a mut Mac,
    frame: &'a mut [u8],
}

impl<'a> Unsealed<'a> {
    pub(super) const fn new(mac: &'a mut Mac, frame: &'a mut [u8]) -> Self {
        Self { mac, frame }
    }

    /// Writes both MACs.
    pub fn seal(self) {
        // Sealed as it is dropped.
    }
}

impl Drop for Unsealed<'_> {
    fn drop(&mut self) {
        let end = self.frame.len() - Tag::SIZE;
        let header = self.frame.first_chunk().expect("because a frame begins with its header");
        let tag = self.mac.header(header);
        self.frame[HEADER..HEAD].copy_from_slice(tag.as_bytes());
        self.mac.absorb(&self.frame[HEAD..end]);
        self.frame[end..].copy_from_slice(self.mac.frame().as_bytes());
    }
}

impl std::fmt::Debug for Unsealed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unsealed").field("bytes", &self.frame.len()).finish_non_exhaustive()
    }
}

/// Seals frames of several connections: each of its own, since a frame borrows its connection.
///
/// One after the other today. Their MACs do not depend on each other, so a Keccak that permutes
/// several states at once will do several frames at once here.
pub fn seal_all<'a>(frames: impl IntoIterator<Item = Unsealed<'a>>) {
    frames.into_iter().for_each(Unsealed::seal);
}
