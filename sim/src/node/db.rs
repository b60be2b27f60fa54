//! What a node keeps over restarts: the shipping rows, and a disk that is late.
//!
//! Nobody sees the disk but its node, so it needs no alarms: whatever was due has been done before
//! anything else is told to it.

use std::time::Duration;

use peerage_discovery::{
    SeedNode, StoreOp,
    store::{Batch, Input, Keeping, Output, Shelf, Step},
};
use peerage_machine::{Instant, Machine as _, Now, Random, Seed};
use peerage_node::{List, Node};

use crate::world::Crash;

/// How long a write may take: two flushes of a disk that turns.
const FLUSH: Duration = Duration::from_millis(50);

/// A node's database: what is on the disk, and what is on its way there.
#[derive(Debug, Default)]
pub(crate) struct NodeDb {
    shelf: Shelf,
    state: State,
}

/// ```text
///           the node starts
///   Closed ----------------> Open
///          <----------------
///           the node has stopped, or crashes
/// ```
#[derive(Debug, Default)]
enum State {
    /// No node runs.
    #[default]
    Closed,
    Open(Box<Open>),
}

/// What is lost if the node crashes.
#[derive(Debug)]
struct Open {
    keeping: Keeping,
    /// The disk's, for how long it takes.
    random: Random,
    /// What was handed to the system, and when it is on the disk.
    writing: Option<(Instant, Batch)>,
}

impl NodeDb {
    /// A node starts: with these nodes to begin with.
    pub(super) fn open(&mut self, now: Now, seed: Seed) -> Vec<SeedNode> {
        let mut random = Random::from_seed(seed);
        let keeping = Keeping::new(random.fork());
        let mut open = Open { keeping, random, writing: None };
        open.tell(now, Input::WantSeeds);
        // Read at once: the system has had the file in memory since it was checked.
        let seeds = open.writing.take().map(|(_, batch)| write(&mut self.shelf, batch));
        open.tell(now, Input::Written);
        self.state = State::Open(Box::new(open));
        seeds.unwrap_or_default()
    }

    /// Writes which sequence number our record has, before anybody sees it.
    pub(super) fn state_seq(&mut self, now: Now, seq: u64) {
        self.shelf.apply(now.unix, &[StoreOp::Seq(seq)]);
    }

    /// Discovery wants something kept.
    pub(super) fn op(&mut self, now: Now, op: StoreOp) {
        self.tell(now, Input::Op(op));
    }

    /// Something is to be kept.
    pub(super) fn tell(&mut self, now: Now, input: Input) {
        if let State::Open(open) = &mut self.state {
            open.catch_up(now, &mut self.shelf);
            open.tell(now, input);
        }
    }

    /// The nodes that the user has put on a list, as far as that was written.
    pub(super) fn listed(&self, list: List) -> Vec<Node> {
        self.shelf.listed(list).cloned().collect()
    }

    /// The node stops: everything is written.
    pub(super) fn close(&mut self, now: Now) {
        if let State::Open(mut open) = std::mem::take(&mut self.state) {
            open.catch_up(now, &mut self.shelf);
            open.tell(now, Input::Stop);
            while let Some((_, batch)) = open.writing.take() {
                write(&mut self.shelf, batch);
                open.tell(now, Input::Written);
            }
        }
    }

    /// The node crashes. What was gathered is lost. What was being written is lost without power;
    /// else the system has all of it.
    pub(super) fn crash(&mut self, now: Now, how: Crash) {
        if let State::Open(mut open) = std::mem::take(&mut self.state) {
            open.catch_up(now, &mut self.shelf);
            if let (Crash::Process, Some((_, batch))) = (how, open.writing) {
                write(&mut self.shelf, batch);
            }
        }
    }

    /// The sequence number of our record that was written last.
    pub(super) const fn seq(&self) -> Option<u64> {
        self.shelf.local_seq()
    }
}

impl Open {
    /// Does everything that was due until now, at its time.
    fn catch_up(&mut self, now: Now, shelf: &mut Shelf) {
        let at = |due: Instant| {
            let ago = now.mono.saturating_since(due);
            Now { mono: due, unix: now.unix.saturating_sub(ago) }
        };
        loop {
            if let Some((until, batch)) = self.writing.take_if(|(until, _)| *until <= now.mono) {
                write(shelf, batch);
                self.tell(at(until), Input::Written);
            } else if let Some(due) = self.keeping.poll_timeout().filter(|due| *due <= now.mono) {
                self.keeping.handle_timeout(at(due));
                self.drain(at(due));
            } else {
                return;
            }
        }
    }

    fn tell(&mut self, now: Now, input: Input) {
        self.keeping.handle_input(now, input);
        self.drain(now);
    }

    fn drain(&mut self, now: Now) {
        while let Some(output) = self.keeping.poll_output() {
            if let Output::Write(batch) = output {
                let nanos = u64::try_from(FLUSH.as_nanos()).unwrap_or(u64::MAX);
                let took = Duration::from_nanos(self.random.below(nanos));
                self.writing = Some((now.mono + took, batch));
            }
        }
    }
}

/// Carries out a batch: the seeds, if they were asked for.
fn write(shelf: &mut Shelf, batch: Batch) -> Vec<SeedNode> {
    let now = batch.unix;
    let mut seeds = Vec::new();
    for step in batch.steps {
        match step {
            Step::Apply(ops) => shelf.apply(now, &ops),
            Step::Prune => drop(shelf.prune(now)),
            Step::Seeds { max_age, count, mut random } => {
                seeds = shelf.seeds(now, max_age, count, &mut random);
            }
            // One that is too many is not kept.
            Step::AddListed { list, node } => drop(shelf.add_listed(list, *node)),
            Step::RemoveListed { list, id } => drop(shelf.remove_listed(list, &id)),
        }
    }
    seeds
}

#[cfg(test)]
mod tests {
    use peerage_node::SecretKey;

    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn at(millis: u64) -> Now {
        let mono = Instant::from_nanos(millis * 1_000_000);
        Now { mono, unix: Duration::from_secs(400 * DAY) + Duration::from_millis(millis) }
    }

    fn open() -> NodeDb {
        let mut db = NodeDb::default();
        assert!(db.open(at(0), [1; 32]).is_empty());
        db
    }

    /// A node that was met, as discovery tells of it.
    fn meet(db: &mut NodeDb, millis: u64, n: u8) {
        let key = *SecretKey::from_bytes(&[n; 32]).unwrap().public();
        let node = Node::from_endpoint(key, ([50, 0, n, 1], 30303).into(), Some(30303));
        let (id, ip) = (node.id(), [50, 0, n, 1].into());
        db.op(at(millis), StoreOp::Record(node.into()));
        db.op(at(millis), StoreOp::Pong { id, ip, unix: at(millis).unix });
    }

    fn seeds_after(mut db: NodeDb, millis: u64) -> usize {
        db.open(at(millis), [2; 32]).len()
    }

    #[test]
    fn what_was_gathered_is_lost_in_a_crash_and_what_was_written_is_not() {
        for how in [Crash::Process, Crash::Power] {
            let mut db = open();
            meet(&mut db, 1_000, 1);
            meet(&mut db, 5_000, 2);
            db.crash(at(5_900), how);
            assert_eq!(seeds_after(db, 6_000), 1, "{how:?}");
        }
    }

    #[test]
    fn what_is_being_written_is_lost_only_with_the_power() {
        for (how, expected) in [(Crash::Process, 1), (Crash::Power, 0)] {
            let mut db = open();
            meet(&mut db, 1_000, 1);
            // The write begins, and takes a while.
            db.crash(at(2_000), how);
            assert_eq!(seeds_after(db, 3_000), expected, "{how:?}");
        }
    }

    #[test]
    fn a_node_that_stops_loses_nothing() {
        let mut db = open();
        for n in 1..=20 {
            meet(&mut db, 1_000, n);
        }
        db.op(at(1_000), StoreOp::Seq(7));
        assert_eq!(db.seq(), None);
        db.close(at(1_001));
        assert_eq!(db.seq(), Some(7));
        assert_eq!(seeds_after(db, 2_000), 20);
    }

    #[test]
    fn what_nobody_looked_at_was_written_in_its_time() {
        let mut db = open();
        meet(&mut db, 1_000, 1);
        meet(&mut db, 100_000, 2);
        db.crash(at(100_001), Crash::Power);
        assert_eq!(seeds_after(db, 200_000), 1);
    }

    #[test]
    fn what_a_user_lists_is_kept_like_everything_else() {
        let node = |n: u8| Node::new(*SecretKey::from_bytes(&[n; 32]).unwrap().public());
        let listed = |db: &NodeDb| db.listed(List::Static);
        let mut db = open();
        for n in [1, 2] {
            let node = Box::new(node(n));
            db.tell(at(1_000), Input::AddListed { list: List::Static, node });
        }
        db.close(at(2_000));
        assert_eq!(listed(&db).len(), 2);
        db.open(at(3_000), [1; 32]);
        db.tell(at(3_000), Input::RemoveListed { list: List::Static, id: node(1).id() });
        // In time for one, and too late for the other.
        db.tell(at(5_000), Input::RemoveListed { list: List::Static, id: node(2).id() });
        db.crash(at(5_001), Crash::Process);
        assert_eq!((listed(&db), db.listed(List::Trusted)), (vec![node(2)], vec![]));
    }
}
