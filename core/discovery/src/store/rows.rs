//! What every node database does, whatever its rows lie in: apply operations, drop what is too old
//! or too many, choose seeds.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use peerage_machine::Random;
use peerage_node::{NodeId, SubnetCounts, is_lan};

use super::{
    Bounds, SeedNode, StoreOp,
    row::{Class, Rank, Row},
};

/// At most how many seeds are of one /24 or /64: as many as a bucket of the table takes.
const SEEDS_PER_SUBNET: usize = 2;

/// Rows that can be read, by id and by rank.
pub trait Rows {
    /// Why reading or writing failed.
    type Error;

    /// The row of a node.
    fn row(&self, id: &NodeId) -> Result<Option<Row>, Self::Error>;

    /// The ranks in a range, least first.
    fn ranks(&self, range: Range<Rank>) -> Result<Vec<Rank>, Self::Error>;

    /// How many rows there are.
    fn count(&self) -> Result<usize, Self::Error>;

    /// The sequence number of our own record.
    fn seq(&self) -> Result<Option<u64>, Self::Error>;
}

/// Rows that can be changed. An implementation makes all changes of a call last, or none.
pub trait RowsMut: Rows {
    /// Puts a row, or none, in the place of the one that had the rank `old`.
    fn replace(
        &mut self,
        id: &NodeId,
        old: Option<Rank>,
        new: Option<Row>,
    ) -> Result<(), Self::Error>;

    /// The row that is worth the least.
    fn least(&self) -> Result<Option<Rank>, Self::Error>;

    /// Writes the sequence number of our own record.
    fn set_seq(&mut self, seq: u64) -> Result<(), Self::Error>;
}

/// Does what `ops` say, and then drops what is too many.
pub fn apply<R: RowsMut>(
    rows: &mut R,
    bounds: &Bounds,
    now: Duration,
    ops: &[StoreOp],
) -> Result<(), R::Error> {
    let now = seconds(now);
    // A row is read and written once, however many operations concern it.
    let mut changed = BTreeMap::<NodeId, Change>::new();
    let mut seq = None;
    for op in ops {
        let id = match op {
            StoreOp::Record(node) => node.id(),
            StoreOp::Ping { id, .. } | StoreOp::Pong { id, .. } => *id,
            StoreOp::Failures { id, .. } | StoreOp::Forget(id) => *id,
            StoreOp::Seq(number) => {
                seq = seq.max(Some(*number));
                continue;
            }
        };
        let change = match changed.entry(id) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let row = rows.row(&id)?;
                entry.insert(Change { old: row.as_ref().map(|row| row.rank(id)), row })
            }
        };
        change.apply(now, op);
    }
    for (id, change) in changed {
        rows.replace(&id, change.old, change.row)?;
    }
    if seq > rows.seq()? {
        rows.set_seq(seq.expect("because nothing is more than none"))?;
    }
    while rows.count()? > bounds.nodes {
        let Some(least) = rows.least()? else { break };
        rows.replace(&least.id, Some(least), None)?;
    }
    Ok(())
}

/// Drops what is too old; what is of the future becomes of now. Returns how many were dropped.
pub fn prune<R: RowsMut>(rows: &mut R, bounds: &Bounds, now: Duration) -> Result<usize, R::Error> {
    let mut dropped = 0;
    for class in [Class::Unanswered, Class::Answered, Class::Seed] {
        let age = match class {
            Class::Unanswered => bounds.unanswered,
            Class::Answered | Class::Seed => bounds.answered,
        };
        let too_old = seconds(now.saturating_sub(age));
        let old = rows.ranks(Rank::first(class, 0)..Rank::first(class, too_old))?;
        dropped += old.len();
        for rank in old {
            rows.replace(&rank.id, Some(rank), None)?;
        }
        let now = seconds(now);
        let future = Rank::first(class, now.saturating_add(1))..Rank::last(class);
        for rank in rows.ranks(future)? {
            let mut row = rows.row(&rank.id)?;
            if let Some(row) = &mut row {
                row.clamp(now);
            }
            rows.replace(&rank.id, Some(rank), row)?;
        }
    }
    Ok(dropped)
}

/// Chooses seeds: any that answered recently enough, with equal chances.
///
/// The same rows and the same randomness give the same seeds, in the same order.
pub fn seeds<R: Rows>(
    rows: &R,
    now: Duration,
    max_age: Duration,
    count: usize,
    random: &mut Random,
) -> Result<Vec<SeedNode>, R::Error> {
    let since = Rank::first(Class::Seed, seconds(now.saturating_sub(max_age)));
    // As many as there are nodes, at most: 48 bytes each, for a moment.
    let mut candidates = rows.ranks(since..Rank::last(Class::Seed))?;
    let mut subnets = SubnetCounts::new(SEEDS_PER_SUBNET);
    let mut seeds = Vec::new();
    while seeds.len() < count && !candidates.is_empty() {
        let at = usize::try_from(random.below(candidates.len() as u64))
            .expect("because it is below a usize");
        let rank = candidates.swap_remove(at);
        let Some(row) = rows.row(&rank.id)? else { continue };
        let Some((ip, last_pong)) = row.proved() else { continue };
        // Before the record is decoded, which costs a verification.
        if !is_lan(ip) && !subnets.has_room(ip) {
            continue;
        }
        let Some(node) = row.node() else { continue };
        let _ = subnets.add(ip);
        seeds.push(SeedNode { node, last_pong: Duration::from_secs(last_pong) });
    }
    Ok(seeds)
}

/// Seconds of UNIX. Never 0, which stands for never.
fn seconds(unix: Duration) -> u64 {
    unix.as_secs().max(1)
}

/// A row while operations change it.
struct Change {
    /// Its rank as it is stored.
    old: Option<Rank>,
    row: Option<Row>,
}

impl Change {
    fn apply(&mut self, now: u64, op: &StoreOp) {
        // What happened after now was timed by a clock that has been set back since.
        let past = |unix: Duration| seconds(unix).min(now);
        let row = &mut self.row;
        let known = || Row::new(now);
        match op {
            StoreOp::Record(node) => row.get_or_insert_with(known).on_stated(now, node),
            StoreOp::Ping { ip, unix, .. } => {
                row.get_or_insert_with(known).on_ping(*ip, past(*unix));
            }
            StoreOp::Pong { ip, unix, .. } => {
                row.get_or_insert_with(known).on_pong(*ip, past(*unix));
            }
            StoreOp::Failures { ip, count, .. } => {
                row.get_or_insert_with(known).on_failures(*ip, *count);
            }
            StoreOp::Forget(_) => *row = None,
            StoreOp::Seq(_) => {}
        }
    }
}
