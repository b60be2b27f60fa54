//! Random operations on a table, and what must always hold of it.

use std::{collections::BTreeSet, time::Duration};

use arbitrary::{Arbitrary, Unstructured};
use peerage_node::{SecretKey, is_lan};

use super::*;
use crate::testing::{record, secret, unsigned};

pub(crate) const OWN: NodeId = NodeId([0x55; 32]);
pub(crate) const START: Instant = Instant::START;

/// What may happen to a table; nodes and addresses by their numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Alive(u32, u64),
    Check,
    Dead(u32),
    Found(u32, u32),
    Inbound(u32, u32),
    Query(u32, bool),
    Record(u32, u64, u32),
    Remove(u32),
}

impl<'a> Arbitrary<'a> for Step {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let [what, node, addr, seq]: [u8; 4] = u.arbitrary()?;
        let (node, addr) = (u32::from(node) % 60, u32::from(addr) % 40);
        let seq = u64::from(seq) % 3 + 1;
        Ok(match what % 16 {
            0 => Self::Alive(node, seq),
            1 | 2 => Self::Check,
            3 => Self::Dead(node),
            4 | 5 => Self::Query(node, seq == 1),
            6 | 7 => Self::Record(node, seq, addr),
            8 => Self::Remove(node),
            9..=12 => Self::Found(node, addr),
            _ => Self::Inbound(node, addr),
        })
    }
}

/// Does all of it to a small table, and checks after each step.
pub(crate) fn run(steps: impl IntoIterator<Item = Step>) {
    let keys: Vec<_> = (0..60).map(secret).collect();
    // Small, so that buckets are full.
    let config = TableConfig { bucket_size: 4, replacements: 3, ..TableConfig::default() };
    let mut table = Table::new(OWN, config, [3; 32]);
    for step in steps {
        let public = |n| *known_secret(n, &keys).public();
        match step {
            Step::Alive(n, seq) => {
                table.on_alive(START, &public(n).id(), Some(seq));
            }
            Step::Check => {
                table.poll_check(START + Duration::from_secs(3_600));
            }
            Step::Dead(n) => {
                table.on_dead(START, &public(n).id());
            }
            Step::Found(n, a) => {
                let _ = table.add_found(START, unsigned(&public(n), &address(a)));
            }
            Step::Inbound(n, a) => {
                let had = table.get(&public(n).id()).map(Entry::seq);
                let _ = table.add_inbound(START, unsigned(&public(n), &address(a)));
                // A signed record stays.
                assert!(had.is_none() || table.get(&public(n).id()).map(Entry::seq) == had);
            }
            Step::Query(n, ok) => {
                table.on_query(START, &public(n).id(), ok);
            }
            Step::Record(n, seq, a) => {
                let _ =
                    table.on_record(START, record(known_secret(n, &keys), seq, Some(&address(a))));
            }
            Step::Remove(n) => {
                table.remove(START, &public(n).id());
            }
        }
        assert_consistent(&table);
    }
}

/// Everything that must hold at any time.
pub(crate) fn assert_consistent(table: &Table) {
    let config = &table.config;
    let mut ids = BTreeSet::new();
    let mut all = SubnetCounts::new(usize::MAX);
    for (distance, bucket) in table.buckets() {
        let mut own = SubnetCounts::new(usize::MAX);
        assert!(bucket.entries().len() <= config.bucket_size);
        assert!(bucket.replacements().len() <= config.replacements);
        assert!(bucket.replacements().len() == 0 || bucket.entries().len() == config.bucket_size);
        for entry in bucket.entries().iter().chain(bucket.replacements()) {
            assert!(ids.insert(entry.id()), "{entry:?} is there twice");
            let its_distance = OWN.log_distance(&entry.id());
            assert!(its_distance == distance || its_distance < NEAREST && distance == NEAREST);
            assert_eq!(entry.node().udp_endpoints().first(), Some(&entry.endpoint()));
            let ip = entry.endpoint().ip();
            if !is_lan(ip) {
                assert!(own.add(ip) && all.add(ip));
                assert!(own.count(ip) <= config.bucket_subnet_limit);
                assert!(all.count(ip) <= config.table_subnet_limit);
            }
        }
        for entry in bucket.entries() {
            assert!(table.revalidation.pace(&entry.id()).is_some());
        }
    }
    // Nothing is counted that is gone.
    assert_eq!(table.shares.0.len(), all.len());
    assert_eq!(table.revalidation.len(), table.len());
}

/// Subnets of three addresses each; every fourth is local.
fn address(n: u32) -> String {
    if n.is_multiple_of(4) { format!("10.0.0.{n}:1") } else { format!("11.1.{}.{n}:1", n / 3) }
}

fn known_secret(n: u32, keys: &[SecretKey]) -> &SecretKey {
    &keys[usize::try_from(n).expect("because there are few")]
}
