//! A datagram that came in, as far as it was looked at: which version of discovery it is of.
//!
//! Versions share a port, and tell their packets apart by looking into them. That costs, so what
//! was found out goes on with the bytes.

use crate::{
    v4::packet::{PacketError, Sealed},
    v5::packet::{Mask, Unmasked},
};

/// A datagram that came in.
#[derive(Clone, Copy, Debug)]
pub enum Datagram<'a> {
    /// Nobody has looked at it yet.
    Unchecked(&'a [u8]),
    /// A packet of discovery v4: its size and its hash are right.
    V4(Sealed<'a>),
}

impl<'a> Datagram<'a> {
    /// It as a packet of discovery v4, for which it is hashed unless it was before.
    pub fn check_v4(self) -> Result<Sealed<'a>, PacketError> {
        match self {
            Self::Unchecked(bytes) => Sealed::check(bytes),
            Self::V4(sealed) => Ok(sealed),
        }
    }

    /// It as a packet of discovery v5 for the node of `mask`, which takes two blocks of AES to rule
    /// out. What is known to be of v4 is not looked at.
    pub(crate) fn check_v5(&self, mask: &Mask) -> Option<Unmasked<'a>> {
        match self {
            Self::Unchecked(bytes) => Unmasked::check(mask, bytes).ok(),
            Self::V4(_) => None,
        }
    }
}

impl<'a> From<&'a [u8]> for Datagram<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Unchecked(bytes)
    }
}

impl<'a> From<Sealed<'a>> for Datagram<'a> {
    fn from(sealed: Sealed<'a>) -> Self {
        Self::V4(sealed)
    }
}
