//! Records whose signatures were verified, so that none is verified twice.

use std::time::Duration;

use alloy_rlp::Header;
use peerage_machine::{ExpiringMap, Instant};
use peerage_node::{Crypto, Record};

use crate::rlp::open_list;

/// How many records are remembered, at most 0.6 KB each: those of a network in which a node meets
/// most others again and again. Records of the table are shared with it.
const MAX_RECORDS: usize = 2048;

/// How long a record is remembered after it was met last.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Records that were met lately.
///
/// # Security
///
/// A record counts as verified if all of its bytes are those that were. What it is looked up by is
/// a part of its signature, which anybody may copy: that finds the record, and then compares.
#[derive(Debug)]
pub(super) struct Records {
    known: ExpiringMap<[u8; 32], Record>,
}

impl Records {
    pub(super) fn new() -> Self {
        Self { known: ExpiringMap::new(MAX_RECORDS) }
    }

    /// The record of these bytes, and whether its signature had to be verified; `None` if it is
    /// none.
    pub(super) fn decode(
        &mut self,
        now: Instant,
        crypto: Crypto,
        rlp: &[u8],
    ) -> Option<(Record, bool)> {
        let key = signature_of(rlp)?;
        let until = now + LIFETIME;
        let known = self.known.renew(&key, now, until, |known| known.clone());
        if let Some(known) = known.filter(|known| known.as_rlp() == rlp) {
            return Some((known, false));
        }
        let record = Record::decode_with(crypto, rlp).ok()?;
        self.known.insert(key, record.clone(), until);
        Some((record, true))
    }

    /// The bytes held.
    pub(super) fn memory(&self) -> usize {
        self.known.memory() + self.known.len() * peerage_node::Node::MAX_HEAP
    }

    /// The most bytes held.
    pub(super) const fn memory_bound() -> usize {
        ExpiringMap::<[u8; 32], Record>::memory_bound(MAX_RECORDS)
            + MAX_RECORDS * peerage_node::Node::MAX_HEAP
    }
}

/// The first half of the signature of a record.
fn signature_of(rlp: &[u8]) -> Option<[u8; 32]> {
    let mut list = open_list(rlp).ok()?;
    Header::decode_bytes(&mut list, false).ok()?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{record, secret};

    #[test]
    fn a_record_is_verified_once_and_another_one_with_its_signature_is_not_believed() {
        let mut records = Records::new();
        let rlp = record(&secret(1), 7, Some("8.8.8.8:30303")).encode();
        let decode = |records: &mut Records, rlp: &[u8]| {
            records
                .decode(Instant::START, Crypto::Real, rlp)
                .map(|(it, verified)| (it.seq(), verified))
        };
        assert_eq!(decode(&mut records, &rlp), Some((7, true)));
        assert_eq!(decode(&mut records, &rlp), Some((7, false)));
        let mut forged = rlp.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(decode(&mut records, &forged), None);
        assert_eq!(decode(&mut records, &rlp), Some((7, false)));
        assert_eq!(decode(&mut records, &[]), None);
        assert_eq!(decode(&mut records, &[0xc0]), None);
    }

    #[test]
    fn as_many_are_remembered_as_there_is_room_for() {
        let mut records = Records::new();
        for n in 0..3000 {
            let rlp = record(&secret(n % 3), u64::from(n) + 1, None).encode();
            assert!(records.decode(Instant::START, Crypto::Real, &rlp).is_some());
        }
        assert_eq!(records.known.len(), MAX_RECORDS);
        assert_eq!(records.memory(), Records::memory_bound());
    }
}
