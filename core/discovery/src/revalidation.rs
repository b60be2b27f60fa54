//! When which node of the table is checked for still being there.
//!
//! Two lists, each of which offers one node picked at random per tick: the fast one has those that
//! have to prove themselves, the slow one those that have. Not here: what a check is (a PING), or
//! what follows from its result ([`Table`](crate::Table)).

use std::time::Duration;

use peerage_machine::{Instant, Random, vec_memory};
use peerage_node::NodeId;

use crate::TableConfig;

/// Which of the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Fast,
    Slow,
}

/// The two lists. Every node of the table is on one of them, so they are as bounded as it is.
#[derive(Debug)]
pub(crate) struct Revalidation {
    fast: List,
    slow: List,
}

impl Revalidation {
    pub(crate) const fn new(config: &TableConfig) -> Self {
        Self {
            fast: List::new(config.check_fast, config.fast_round),
            slow: List::new(config.check_slow, Duration::MAX),
        }
    }

    /// Puts `id` on the list of `pace`, taking it off the other.
    pub(crate) fn put(&mut self, now: Instant, random: &mut Random, id: NodeId, pace: Pace) {
        self.remove(&id);
        match pace {
            Pace::Fast => self.fast.push(now, random, id),
            Pace::Slow => self.slow.push(now, random, id),
        }
    }

    pub(crate) fn remove(&mut self, id: &NodeId) {
        self.fast.remove(id);
        self.slow.remove(id);
    }

    /// A node to be checked now, out of those that are `idle`: not being checked already.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        random: &mut Random,
        idle: impl Fn(&NodeId) -> bool,
    ) -> Option<NodeId> {
        [&mut self.fast, &mut self.slow].into_iter().find_map(|list| list.poll(now, random, &idle))
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.fast.next.into_iter().chain(self.slow.next).min()
    }

    /// The bytes held.
    pub(crate) const fn memory(&self) -> usize {
        vec_memory(&self.fast.ids) + vec_memory(&self.slow.ids)
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn pace(&self, id: &NodeId) -> Option<Pace> {
        match (self.fast.ids.contains(id), self.slow.ids.contains(id)) {
            (true, false) => Some(Pace::Fast),
            (false, true) => Some(Pace::Slow),
            (false, false) => None,
            (true, true) => panic!("{id:?} is on both lists"),
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn len(&self) -> usize {
        self.fast.ids.len() + self.slow.ids.len()
    }
}

#[derive(Debug)]
struct List {
    /// In no order that matters.
    ids: Vec<NodeId>,
    /// Ticks are up to this far apart.
    interval: Duration,
    /// A list so long that a round would take longer ticks faster.
    round: Duration,
    /// The next tick; none for an empty list.
    next: Option<Instant>,
}

impl List {
    const fn new(interval: Duration, round: Duration) -> Self {
        Self { ids: Vec::new(), interval, round, next: None }
    }

    fn push(&mut self, now: Instant, random: &mut Random, id: NodeId) {
        self.ids.push(id);
        if self.next.is_none() {
            self.schedule(now, random);
        }
    }

    fn remove(&mut self, id: &NodeId) {
        if let Some(at) = self.ids.iter().position(|other| other == id) {
            self.ids.swap_remove(at);
        }
        if self.ids.is_empty() {
            self.next = None;
        }
    }

    fn poll(
        &mut self,
        now: Instant,
        random: &mut Random,
        idle: impl Fn(&NodeId) -> bool,
    ) -> Option<NodeId> {
        self.next.filter(|next| *next <= now)?;
        self.schedule(now, random);
        let start = below(random, self.ids.len());
        let (before, after) = self.ids.split_at(start);
        after.iter().chain(before).find(|id| idle(id)).copied()
    }

    /// The next tick is at a random time within the interval, so that nobody can foretell it, and
    /// nodes started together do not check together.
    fn schedule(&mut self, now: Instant, random: &mut Random) {
        let count = u32::try_from(self.ids.len().max(1)).unwrap_or(u32::MAX);
        // Waiting takes half the longest wait on average.
        let longest = self.interval.min(self.round.saturating_mul(2) / count);
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        self.next = Some(now + Duration::from_nanos(1 + random.below(nanos)));
    }
}

/// A random index into a list of `len` items; 0 for an empty one.
pub(crate) fn below(random: &mut Random, len: usize) -> usize {
    let bound = u64::try_from(len).expect("because a length fits 64 bits");
    usize::try_from(random.below(bound)).expect("because it is below a length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u16) -> NodeId {
        let mut id = NodeId([0; 32]);
        id.0[..2].copy_from_slice(&n.to_be_bytes());
        id
    }

    fn revalidation() -> (Revalidation, Random) {
        (Revalidation::new(&TableConfig::default()), Random::from_seed([1; 32]))
    }

    /// What is offered until `end`, with the times.
    fn run(lists: &mut Revalidation, random: &mut Random, end: Instant) -> Vec<(Instant, NodeId)> {
        let mut offers = Vec::new();
        while let Some(now) = lists.next().filter(|next| *next <= end) {
            while let Some(id) = lists.poll(now, random, |_| true) {
                offers.push((now, id));
            }
        }
        offers
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn empty_lists_wake_nobody() {
        let (mut lists, mut random) = revalidation();
        assert_eq!(lists.next(), None);
        lists.put(Instant::START, &mut random, id(1), Pace::Fast);
        assert!(lists.next().is_some());
        lists.remove(&id(1));
        assert_eq!(lists.next(), None);
    }

    #[test]
    fn ticks_are_within_3_seconds_fast_and_within_9_slow() {
        for (pace, interval) in [(Pace::Fast, 3), (Pace::Slow, 9)] {
            let (mut lists, mut random) = revalidation();
            lists.put(Instant::START, &mut random, id(1), pace);
            let offers = run(&mut lists, &mut random, Instant::START + HOUR);
            let limit = Duration::from_secs(interval);
            assert!(offers.windows(2).all(|w| w[1].0.saturating_since(w[0].0) <= limit));
            // Half the interval on average.
            let expected = usize::try_from(3600 * 2 / interval).unwrap();
            assert!((expected * 9 / 10..expected * 11 / 10).contains(&offers.len()));
        }
    }

    #[test]
    fn a_long_fast_list_has_its_round_all_the_same() {
        let (mut lists, mut random) = revalidation();
        for n in 0..272 {
            lists.put(Instant::START, &mut random, id(n), Pace::Fast);
        }
        let mut checked = 0;
        let mut now = Instant::START;
        while let Some(next) = lists.next() {
            now = next;
            let Some(id) = lists.poll(now, &mut random, |_| true) else { continue };
            lists.put(now, &mut random, id, Pace::Slow);
            checked += usize::from(checked < 272);
            if (0..272).all(|n| lists.pace(&self::id(n)) == Some(Pace::Slow)) {
                break;
            }
        }
        assert_eq!(checked, 272);
        // The last few of a random round take the ordinary interval.
        let round = TableConfig::default().fast_round;
        assert!(now <= Instant::START + 5 * round, "{now}");
    }

    #[test]
    fn nodes_under_check_are_not_offered_and_cause_no_spinning() {
        let (mut lists, mut random) = revalidation();
        lists.put(Instant::START, &mut random, id(1), Pace::Fast);
        lists.put(Instant::START, &mut random, id(2), Pace::Fast);
        for _ in 0..50 {
            let now = lists.next().unwrap();
            assert_eq!(lists.poll(now, &mut random, |other| *other == id(2)), Some(id(2)));
            let later = lists.next().unwrap();
            assert!(later > now);
            assert_eq!(lists.poll(later, &mut random, |_| false), None);
            assert!(lists.next().unwrap() > later);
        }
    }
}
