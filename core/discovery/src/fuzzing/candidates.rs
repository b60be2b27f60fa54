//! A model of the candidates machine: sources, a taker and nodes that answer do things at random,
//! and what must always hold is checked after each.

use std::{collections::BTreeMap, time::Duration};

use peerage_machine::{Instant, Machine as _, Now};
use peerage_node::{LocalRecord, Node, NodeId, Record, Source};

use crate::{
    Candidates,
    candidates::{Cause, Filter, Input, Output, Unfit},
    testing::{public, secret},
};

/// How long a node does not come again.
const WINDOW: Duration = Duration::from_secs(5);

/// Of which one is never added, and the others come and go.
const SOURCES: [Source; 4] =
    [Source::DISCOVERY_V4, Source::DISCOVERY_V5, Source::USER, Source::new("nobody")];

/// More than fit into a buffer. Each with the record that it has, and says if it is asked.
const NODES: u8 = 60;

/// Why the taker skips one.
type Why = u8;

type Machine = Candidates<Why>;

/// Nodes of which every third is of this network.
struct Place {
    bare: Node,
    record: Record,
}

impl Place {
    fn new(n: u8) -> Self {
        let key = secret(n.into());
        let bare = Node::from_endpoint(*key.public(), public(n.into()), None);
        let mut local = LocalRecord::new(key, 0);
        local.set_attribute("net", vec![n % 3]).unwrap();
        Self { bare, record: local.record().clone() }
    }
}

/// A filter for nodes of network `net`.
fn only(net: u8) -> Filter {
    Filter::new(move |record| {
        if record.get("net") == Some(&[net]) { Ok(()) } else { Err(Unfit("another network")) }
    })
}

/// What a driver knows that keeps the contract.
struct Driver {
    machine: Machine,
    now: Now,
    places: BTreeMap<u8, Place>,
    /// The network that is wanted, where that is any one.
    filter: Option<u8>,
    /// What was told to each source.
    sources: BTreeMap<Source, usize>,
    /// Nodes that were found and have not met their fate, with when.
    held: BTreeMap<NodeId, (Source, Instant)>,
    /// Those of them that are asked for their records.
    asked: BTreeMap<NodeId, Instant>,
    /// Nodes handed over and not skipped, and when.
    handed: BTreeMap<NodeId, (Source, Instant)>,
    /// What is wanted; `None` while a candidate has had no answer.
    wanted: Option<usize>,
    last: Option<(NodeId, Source)>,
    /// Until when sources may catch up.
    quiet_at: Instant,
    log: Vec<String>,
}

impl Driver {
    fn new() -> Self {
        let mut driver = Self {
            machine: Candidates::new(WINDOW),
            now: Now::default(),
            places: BTreeMap::new(),
            filter: None,
            sources: BTreeMap::new(),
            held: BTreeMap::new(),
            asked: BTreeMap::new(),
            handed: BTreeMap::new(),
            wanted: Some(0),
            last: None,
            quiet_at: Instant::START,
            log: Vec::new(),
        };
        for source in &SOURCES[..2] {
            driver.add(*source);
        }
        driver
    }

    fn add(&mut self, source: Source) {
        self.sources.entry(source).or_insert(0);
        self.tell(Input::AddSource(source));
    }

    fn place(&mut self, n: u8) -> &Place {
        self.places.entry(n).or_insert_with(|| Place::new(n))
    }

    /// One operation, chosen by `what`, on the thing chosen by `which`.
    fn act(&mut self, what: u8, which: u8) {
        let source = SOURCES[usize::from(which % 4)];
        match what % 16 {
            // Some come with their records.
            0..6 => self.find(source, which % NODES, what.is_multiple_of(2)),
            6..9 => {
                self.wanted = Some(usize::from(which % 4));
                self.tell(Input::Want { count: usize::from(which % 4) });
            }
            9 => {
                if let Some((id, source)) = self.last {
                    self.handed.remove(&id);
                    self.tell(Input::Skipped { id, source, why: which });
                    let not_taken = self.machine.why(self.now.mono, &id);
                    let held = self.held.contains_key(&id);
                    let cause = if held { Cause::Waiting } else { Cause::Skipped(which) };
                    assert_eq!(not_taken.map(|it| it.cause), Some(cause));
                }
            }
            10..13 => {
                let at = usize::from(which) % self.asked.len().max(1);
                let Some(id) = self.asked.keys().nth(at).copied() else { return };
                let mut places = self.places.values();
                // Its own, none, or most likely that of another node.
                let place = match which % 3 {
                    0 => places.find(|place| place.record.id() == id),
                    1 => None,
                    _ => places.next(),
                };
                let record = place.map(|place| place.record.clone());
                self.asked.remove(&id);
                self.tell(Input::Record { id, record });
            }
            13 => {
                self.now = self.now.later(Duration::from_millis(u64::from(which) * 40));
                self.machine.handle_timeout(self.now);
                self.drain(None);
                let next = self.machine.poll_timeout();
                assert!(next.is_none_or(|at| at > self.now.mono), "what is due was not done");
            }
            14 => {
                self.filter = (which % 4).checked_sub(1);
                self.tell(Input::SetFilter(self.filter.map(only)));
            }
            _ if which.is_multiple_of(2) => self.add(SOURCES[usize::from(which % 3)]),
            _ => {
                let source = SOURCES[usize::from(which % 3)];
                self.sources.remove(&source);
                self.tell(Input::RemoveSource(source));
                assert!(self.held.values().all(|(of, _)| *of != source), "it left some behind");
            }
        }
    }

    fn find(&mut self, source: Source, n: u8, with_record: bool) {
        let place = self.place(n);
        let node = if with_record { place.record.clone().into() } else { place.bare.clone() };
        let id = node.id();
        self.machine.handle_input(self.now, Input::Found { node, source });
        self.drain(Some((id, source)));
    }

    fn tell(&mut self, input: Input<Why>) {
        self.machine.handle_input(self.now, input);
        self.drain(None);
    }

    /// Looks at all outputs of a call, in which `found` was found.
    fn drain(&mut self, found: Option<(NodeId, Source)>) {
        let outputs: Vec<_> = std::iter::from_fn(|| self.machine.poll_output()).collect();
        self.log.push(format!("{outputs:?}"));
        if let Some((id, source)) = found {
            let refused = outputs.iter().any(|output| {
                matches!(output, Output::NotTaken { id: of, source: by, .. } if (*of, *by) == (id, source))
            });
            if !refused {
                let before = self.held.insert(id, (source, self.now.mono));
                assert!(before.is_none(), "it is there twice");
            }
        }
        let is_told = |source| {
            outputs.iter().any(|it| matches!(it, Output::Want { source: of, .. } if *of == source))
        };
        let told =
            found.is_none_or(|(_, source)| is_told(source) || !self.sources.contains_key(&source));
        for output in outputs {
            self.look_at(output, found);
        }
        assert!(told || self.wanted.is_none(), "a source is not told whether it may go on");
        self.check();
    }

    fn look_at(&mut self, output: Output<Why>, found: Option<(NodeId, Source)>) {
        match output {
            Output::AskRecord { node } => {
                assert!(self.filter.is_some() && node.record().is_none());
                let wanted = self.wanted.expect("because nothing is asked before the taker spoke");
                assert!(wanted > 0 || self.now.mono < self.quiet_at, "nobody wants to know");
                assert!(self.held.contains_key(&node.id()));
                let before = self.asked.insert(node.id(), self.now.mono);
                assert!(before.is_none(), "it is asked twice at once");
            }
            Output::Candidate { node, source } => {
                let (wanted, id) = (self.wanted.take(), node.id());
                assert!(wanted.is_some_and(|wanted| wanted > 0), "nobody wants it");
                assert_eq!(self.held.remove(&id).map(|(of, _)| of), Some(source));
                if let Some(net) = self.filter {
                    let record = node.record().expect("because it was asked for");
                    assert_eq!(record.get("net"), Some(&[net][..]), "it is of another network");
                }
                let before = self.handed.insert(id, (source, self.now.mono));
                let is_over = |at: Instant| at + WINDOW <= self.now.mono;
                assert!(before.is_none_or(|(_, at)| is_over(at)), "it comes again too soon");
                assert_eq!(self.machine.why(self.now.mono, &id), None);
                self.last = Some((id, source));
                self.quiet_at = self.now.mono + Duration::from_secs(30);
            }
            Output::NotTaken { id, cause: Cause::Duplicate { of }, .. } => {
                let first = self.held.get(&id).or(self.handed.get(&id));
                assert_eq!(first.map(|(source, _)| *source), Some(of));
            }
            Output::NotTaken { cause: Cause::Skipped(_), .. } => {}
            Output::NotTaken { id, source, cause } => {
                if found == Some((id, source)) {
                    let is_full = self.count(source) == Machine::BUFFER;
                    assert!(cause != Cause::NoRoom || is_full, "there was room");
                } else {
                    assert!(!matches!(cause, Cause::NoRoom));
                    assert_eq!(self.held.remove(&id).map(|(of, _)| of), Some(source));
                    self.asked.remove(&id);
                }
                assert_eq!(self.machine.why(self.now.mono, &id).map(|it| it.cause), Some(cause));
            }
            Output::Want { source, count } => {
                let wanted = self.wanted.expect("because nothing is said before the taker has");
                let needed = wanted.max((self.now.mono < self.quiet_at).into());
                assert!(count <= needed.min(Machine::BUFFER), "{count} of {needed}");
                self.sources.insert(source, count);
            }
        }
    }

    fn check(&self) {
        for (source, counts) in self.machine.sources() {
            assert_eq!(counts.waiting, self.count(source));
            assert!(counts.waiting <= Machine::BUFFER);
            assert!(self.asks(source) <= Machine::ASKS);
        }
        assert_eq!(self.machine.sources().count(), self.sources.len());
        for (id, (source, since)) in &self.held {
            let why = self.machine.why(self.now.mono, id).unwrap();
            assert_eq!((why.source, why.cause, why.at), (*source, Cause::Waiting, *since));
        }
        match self.wanted {
            Some(0) => {
                let is_quiet = self.sources.values().all(|told| *told == 0);
                // Some may catch up, for which there is an end.
                assert!(is_quiet || self.machine.poll_timeout() <= Some(self.quiet_at));
                assert!(is_quiet || self.machine.poll_timeout().is_some(), "not quiet");
            }
            // What could be handed over is not kept back.
            Some(_) if self.filter.is_none() => {
                assert!(self.held.keys().all(|id| self.asked.contains_key(id)));
            }
            Some(_) | None => {}
        }
        let (held, bound) = (self.machine.memory(), Machine::memory_bound(self.sources.len()));
        assert!(held <= bound, "{held} bytes are held of {bound}");
    }

    fn count(&self, source: Source) -> usize {
        self.held.values().filter(|(of, _)| *of == source).count()
    }

    fn asks(&self, source: Source) -> usize {
        self.asked.keys().filter(|id| self.held[*id].0 == source).count()
    }
}

/// Operations, two bytes each; see the module.
pub fn candidates(data: &[u8]) {
    run(data);
}

/// Does all of it, and gives what the machine said.
fn run(data: &[u8]) -> Vec<String> {
    let mut driver = Driver::new();
    for operation in data.chunks_exact(2).take(400) {
        driver.act(operation[0], operation[1]);
    }
    driver.log
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn the_same_inputs_give_the_same_outputs_and_what_must_hold_holds(
            data in proptest::collection::vec(any::<u8>(), 0..800),
        ) {
            prop_assert_eq!(run(&data), run(&data));
        }
    }
}
