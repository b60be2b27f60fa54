//! What two Hellos amount to: the capabilities in common and their message ids
//! ([rlpx.md, capability
//! messaging](https://github.com/ethereum/devp2p/blob/master/rlpx.md#capability-messaging)).
//!
//! Not here: whether that is enough to stay connected (`peering`).

use std::collections::BTreeMap;

use crate::{Capability, CapabilityName, LocalCapability, Shared, code};

/// The capabilities that both ends speak, in the order of their names, which is that of their ids.
///
/// Of each name the highest version that both ends speak wins. Both ends come to the same result,
/// provided that they agree on the lengths: these are `local`'s own.
pub fn negotiate(local: &[LocalCapability], remote: &[Capability]) -> Vec<Shared> {
    let mut chosen: BTreeMap<CapabilityName, (usize, &LocalCapability)> = BTreeMap::new();
    for (index, ours) in local.iter().enumerate() {
        let name = ours.capability.name;
        let higher = chosen
            .get(&name)
            .is_none_or(|(_, best)| best.capability.version < ours.capability.version);
        if higher && remote.contains(&ours.capability) {
            chosen.insert(name, (index, ours));
        }
    }
    let mut next = code::FIRST_SHARED;
    chosen
        .into_values()
        .map(|(local, LocalCapability { capability, length })| {
            let offset = next;
            next = next.saturating_add(*length);
            Shared { capability: *capability, local, offset, length: *length }
        })
        .collect()
}

/// The capability that message id `code` belongs to, as an index in `shared`, and the id within it.
/// `shared` comes from [`negotiate`].
pub(crate) fn route(shared: &[Shared], code: u64) -> Option<(usize, u64)> {
    // A handful of entries: walking them beats searching.
    shared.iter().enumerate().find_map(|(index, shared)| {
        let relative = code.checked_sub(shared.offset)?;
        (relative < shared.length).then_some((index, relative))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn remote(text: &str) -> Vec<Capability> {
        text.split_whitespace()
            .map(|item| {
                let (name, version) = item.split_once('/').unwrap();
                Capability { name: name.parse().unwrap(), version: version.parse().unwrap() }
            })
            .collect()
    }

    fn local(text: &str) -> Vec<LocalCapability> {
        text.split_whitespace()
            .map(|item| {
                let (capability, length) = item.rsplit_once('/').unwrap();
                LocalCapability {
                    capability: remote(capability)[0],
                    length: length.parse().unwrap(),
                }
            })
            .collect()
    }

    /// `name/version@offset` for each shared capability.
    fn agreed(ours: &str, theirs: &str) -> String {
        let shared: Vec<_> = negotiate(&local(ours), &remote(theirs))
            .iter()
            .map(|shared| format!("{}@{:#x}", shared.capability, shared.offset))
            .collect();
        shared.join(" ")
    }

    #[test]
    fn capabilities_are_matched_by_highest_common_version_in_name_order() {
        // ours (with lengths), theirs, agreed
        let rows = [
            ("", "", ""),
            ("eth/68/17", "", ""),
            ("eth/68/17", "eth/67", ""),
            ("eth/68/17", "eth/68", "eth/68@0x10"),
            // The highest version in common, not the highest of one end.
            ("eth/66/17 eth/67/18 eth/68/19", "eth/65 eth/66 eth/67", "eth/67@0x10"),
            ("eth/68/17 eth/67/17", "eth/67 eth/68", "eth/68@0x10"),
            // A higher version takes the place of a lower one, its length too.
            ("a/1/5 a/2/9 b/1/1", "a/1 a/2 b/1", "a/2@0x10 b/1@0x19"),
            // Name order, whatever the order of announcement.
            ("snap/1/8 eth/68/17", "snap/1 eth/68", "eth/68@0x10 snap/1@0x21"),
            // ASCII order: digits, upper case, lower case.
            ("b/1/1 B/1/1 0/1/1", "0/1 b/1 B/1", "0/1@0x10 B/1@0x11 b/1@0x12"),
            // Duplicates change nothing.
            ("eth/68/17 snap/1/8", "eth/68 eth/68 snap/1", "eth/68@0x10 snap/1@0x21"),
            // Only what both speak takes ids.
            ("aaa/1/4 eth/68/17", "eth/68 zzz/9", "eth/68@0x10"),
        ];
        for (ours, theirs, expected) in rows {
            assert_eq!(agreed(ours, theirs), expected, "ours {ours:?}, theirs {theirs:?}");
        }
    }

    #[test]
    fn every_id_belongs_to_one_capability_or_to_none() {
        let shared = negotiate(&local("a/1/2 b/1/0 c/1/3"), &remote("a/1 b/1 c/1"));
        assert_eq!(route(&shared, 0x0f), None);
        assert_eq!(route(&shared, 0x10), Some((0, 0)));
        assert_eq!(route(&shared, 0x11), Some((0, 1)));
        assert_eq!(route(&shared, 0x12), Some((2, 0)));
        assert_eq!(route(&shared, 0x14), Some((2, 2)));
        assert_eq!(route(&shared, 0x15), None);
        assert_eq!(route(&shared, u64::MAX), None);
    }

    #[test]
    fn a_shared_capability_remembers_which_of_ours_it_is() {
        let ours = local("z/1/1 eth/67/17 eth/68/17");
        for shared in negotiate(&ours, &remote("eth/68 eth/67 z/1")) {
            assert_eq!(ours[shared.local].capability, shared.capability);
        }
    }

    proptest! {
        #[test]
        fn both_ends_agree(
            ours in proptest::collection::vec((0u8..4, 0u64..4), 0..8),
            theirs in proptest::collection::vec((0u8..4, 0u64..4), 0..8),
        ) {
            let table = |end: &[(u8, u64)]| -> Vec<LocalCapability> {
                end.iter()
                    .map(|(name, version)| LocalCapability {
                        capability: Capability {
                            name: CapabilityName::from_bytes(&[b'a' + name]).unwrap(),
                            version: *version,
                        },
                        length: u64::from(*name) + version,
                    })
                    .collect()
            };
            let caps = |table: &[LocalCapability]| -> Vec<Capability> {
                table.iter().map(|local| local.capability).collect()
            };
            let wire = |shared: Vec<Shared>| -> Vec<_> {
                shared.iter().map(|s| (s.capability, s.offset, s.length)).collect()
            };
            let (ours, theirs) = (table(&ours), table(&theirs));
            prop_assert_eq!(
                wire(negotiate(&ours, &caps(&theirs))),
                wire(negotiate(&theirs, &caps(&ours)))
            );
        }
    }
}
