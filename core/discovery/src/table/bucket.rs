//! One bucket: the nodes at one distance, and those that wait for a place among them.

use std::{collections::VecDeque, net::IpAddr};

use peerage_machine::{Random, deque_memory, list_bound, vec_memory};
use peerage_node::{NodeId, SubnetCounts, is_lan};

use super::{NoPlace, TableConfig};
use crate::{Entry, revalidation::below};

/// The nodes at one distance from us.
#[derive(Debug)]
pub struct Bucket {
    /// At most [`TableConfig::bucket_size`], the oldest first.
    pub(super) entries: Vec<Entry>,
    /// At most [`TableConfig::replacements`], the oldest first. Not empty only if `entries` is
    /// full.
    pub(super) replacements: VecDeque<Entry>,
    /// The addresses of both.
    subnets: SubnetCounts,
}

impl Bucket {
    pub(super) fn new(config: &TableConfig) -> Self {
        Self {
            entries: Vec::new(),
            replacements: VecDeque::new(),
            subnets: SubnetCounts::new(config.bucket_subnet_limit),
        }
    }

    /// The nodes in the bucket, the oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The nodes that wait for a place, the oldest first.
    pub fn replacements(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.replacements.iter()
    }

    /// The bytes held.
    pub(super) fn memory(&self) -> usize {
        let nodes = self.entries.len() + self.replacements.len();
        vec_memory(&self.entries)
            + deque_memory(&self.replacements)
            + nodes * Entry::MAX_HEAP
            + self.subnets.memory()
    }

    /// The most bytes held.
    pub(super) const fn memory_bound(config: &TableConfig) -> usize {
        // One that has just come is counted beside the one that it pushes out.
        let (entries, replacements) = (config.bucket_size + 1, config.replacements + 1);
        list_bound::<Entry>(entries)
            + list_bound::<Entry>(replacements)
            + (entries + replacements) * Entry::MAX_HEAP
            + SubnetCounts::memory_bound(entries + replacements)
    }

    pub(super) fn get(&self, id: &NodeId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id() == *id)
    }

    pub(super) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id() == *id)
    }

    /// The entry of `id`, or what waits under it.
    pub(super) fn find_mut(&mut self, id: &NodeId) -> Option<&mut Entry> {
        self.entries.iter_mut().chain(&mut self.replacements).find(|entry| entry.id() == *id)
    }

    /// Takes `id` out of the bucket.
    pub(super) fn take(&mut self, id: &NodeId) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.id() == *id)?;
        Some(self.entries.remove(at))
    }

    /// Takes `id` out of those that wait.
    pub(super) fn take_replacement(&mut self, id: &NodeId) -> Option<Entry> {
        let at = self.replacements.iter().position(|entry| entry.id() == *id)?;
        self.replacements.remove(at)
    }

    /// Takes any one of those that wait: whoever came last should not be sure to be next.
    pub(super) fn draw_replacement(&mut self, random: &mut Random) -> Option<Entry> {
        self.replacements.remove(below(random, self.replacements.len()))
    }
}

/// How many addresses of one subnet the table has, and each of its buckets.
///
/// # Security
///
/// Addresses are what an attacker has to pay for, ids cost nothing: whoever holds one subnet gets
/// no more than a share of the table and of a bucket. Addresses of a local network are not counted:
/// nobody far away can have one, and a network of ours may be all of one subnet.
#[derive(Debug)]
pub(super) struct Shares(pub(super) SubnetCounts);

impl Shares {
    /// Counts `ip` in the table and in `bucket`, or in neither if one of them has its share.
    pub(super) fn add(&mut self, bucket: &mut Bucket, ip: IpAddr) -> Result<(), NoPlace> {
        if is_lan(ip) {
            Ok(())
        } else if !bucket.subnets.has_room(ip) {
            Err(NoPlace::BucketSubnet)
        } else if !self.0.add(ip) {
            Err(NoPlace::TableSubnet)
        } else {
            let is_counted = bucket.subnets.add(ip);
            debug_assert!(is_counted, "there was room");
            Ok(())
        }
    }

    /// Takes back one [`add`](Self::add).
    pub(super) fn remove(&mut self, bucket: &mut Bucket, ip: IpAddr) {
        if !is_lan(ip) {
            self.0.remove(ip);
            bucket.subnets.remove(ip);
        }
    }

    /// Counts `new` in the place of `old`, or leaves things as they are.
    pub(super) fn swap(
        &mut self,
        bucket: &mut Bucket,
        old: IpAddr,
        new: IpAddr,
    ) -> Result<(), NoPlace> {
        if old == new {
            return Ok(());
        }
        self.remove(bucket, old);
        let added = self.add(bucket, new);
        if added.is_err() {
            self.add(bucket, old).expect("because the place just left is free");
        }
        added
    }
}
