//! One run of a scenario.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use peerage_machine::{Instant, Random};
use peerage_node::{Crypto, Node as Named, NodeId, SecretKey};

use super::{Group, Knows, Measure, Row, Scenario, Series, Size, series::Gauge, steps::Timeline};
use crate::{
    Bounds, HostId, NodeSpec, Settings, Violation, World,
    adversary::{AdversaryKind, Ring},
    metrics::{Sample, degrees},
};

/// How many samples a run gives.
const SAMPLES: u32 = 100;

/// More nodes than this do not fit into the addresses that hosts are given.
const MAX_NODES: u32 = 60_000;

/// What may be chosen about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How many nodes there are, adversaries not counted.
    pub nodes: u32,
    /// From which everything random follows.
    pub seed: u64,
    /// How long it takes, in virtual time.
    pub span: Duration,
    /// Adversaries that are there from the beginning, each kind with its share of `nodes` in parts
    /// per million.
    pub adversaries: Vec<(AdversaryKind, u32)>,
    /// Whether the cryptography is a cheap stand-in.
    pub stand_in: bool,
    /// For how long two nodes may see their connection differently; see [`Bounds`].
    pub agreement: Duration,
}

/// Why a scenario cannot be run like this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// More nodes than addresses.
    #[error("at most {MAX_NODES} nodes fit into a world")]
    TooManyNodes,
    /// Not enough for the groups of the scenario.
    #[error("this scenario needs at least {0} nodes")]
    TooFewNodes(u32),
    /// No time at all.
    #[error("a run takes at least ten seconds of virtual time, and at most a year")]
    Span,
    /// More adversaries than nodes.
    #[error("the share of an adversary is at most 1, as many as there are nodes")]
    Share,
}

/// A run of a scenario, to be advanced from sample to sample.
#[derive(Debug)]
pub struct Run {
    pub(super) scenario: &'static Scenario,
    pub(super) options: Options,
    pub(super) world: World,
    pub(super) random: Random,
    pub(super) groups: BTreeMap<&'static str, Vec<HostId>>,
    pub(super) adversary: BTreeSet<NodeId>,
    pub(super) accomplices: u32,
    /// All adversaries of each kind, across waves.
    pub(super) rings: BTreeMap<AdversaryKind, Ring>,
    pub(super) timeline: Timeline,
    pub(super) rows: Vec<Row>,
    pairs: Vec<(HostId, HostId)>,
    samples: Vec<Sample>,
    gauges: Vec<Gauge>,
}

/// What came out of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The result table.
    pub rows: Vec<Row>,
    /// The world over time.
    pub samples: Vec<Sample>,
    /// What else was measured at each sample, in the order of [`Run::measure_by`].
    pub series: Vec<Series>,
    /// How many nodes have how many peers, at the end.
    pub degrees: Vec<u64>,
    /// The hash of the trace.
    pub hash: String,
    /// How many events there were.
    pub events: u64,
}

impl Run {
    /// Makes the world of a scenario. Nothing has happened in it.
    pub fn new(scenario: &'static Scenario, options: Options) -> Result<Self, OptionsError> {
        check(scenario, &options)?;
        let settings = Settings { link: (scenario.link)(), ..Settings::default() };
        let mut world = World::with_settings(options.seed, settings);
        world.set_bounds(Bounds { agreement: options.agreement, ..Bounds::default() });
        let random = Random::from_seed(world.fork());
        let mut run = Self {
            scenario,
            options,
            world,
            random,
            groups: BTreeMap::new(),
            adversary: BTreeSet::new(),
            accomplices: 0,
            rings: BTreeMap::new(),
            timeline: Timeline::default(),
            rows: Vec::new(),
            pairs: Vec::new(),
            samples: Vec::new(),
            gauges: Vec::new(),
        };
        for group in scenario.groups {
            run.add_group(group);
        }
        // Once all are there, as groups may know of later ones.
        for group in scenario.groups {
            run.introduce(group);
        }
        run.plan();
        Ok(run)
    }

    /// Has something of a researcher's own measured with each sample to come.
    pub fn measure_by(&mut self, label: &str, of: impl FnMut(&World) -> u64 + 'static) {
        self.gauges.push(Gauge::new(label, of));
    }

    /// Runs to the next sample. `None` at the end; an error is the first rule that was broken.
    pub fn advance(&mut self) -> Result<Option<Sample>, Violation> {
        let done = u32::try_from(self.samples.len()).unwrap_or(u32::MAX);
        if done > SAMPLES {
            return Ok(None);
        }
        let until = Instant::START + self.options.span * done / SAMPLES;
        self.run_until(until)?;
        let sample = Sample::of(&self.world, &self.adversary);
        self.samples.push(sample);
        self.gauges.iter_mut().for_each(|gauge| gauge.sample(&self.world));
        Ok(Some(sample))
    }

    /// Runs to the end.
    pub fn complete(mut self) -> Result<Outcome, Violation> {
        while self.advance()?.is_some() {}
        Ok(self.finish())
    }

    /// What came out.
    pub fn finish(mut self) -> Outcome {
        for measure in self.scenario.rows {
            let rows = measure.rows(&self, "");
            self.rows.extend(rows);
        }
        Outcome {
            degrees: degrees(&self.world),
            hash: self.world.trace().hash(),
            events: self.world.events(),
            rows: self.rows,
            samples: self.samples,
            series: self.gauges.into_iter().map(Gauge::finish).collect(),
        }
    }

    /// The world.
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// The world, to record its trace.
    pub const fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    /// How long the run takes in all, in virtual time.
    pub const fn span(&self) -> Duration {
        self.options.span
    }

    /// The ids of all adversaries.
    pub const fn adversary(&self) -> &BTreeSet<NodeId> {
        &self.adversary
    }

    /// The hosts of a group, those that are down included.
    pub fn group(&self, name: &str) -> impl Iterator<Item = HostId> + '_ {
        self.groups.get(name).into_iter().flatten().copied()
    }

    /// How many pairs of partners are connected, and how many there are.
    pub fn partners(&self) -> (usize, usize) {
        let met =
            |(a, b): &&(HostId, HostId)| self.world.is_peer(*a, *b) && self.world.is_peer(*b, *a);
        (self.pairs.iter().filter(met).count(), self.pairs.len())
    }

    pub(super) fn measure(&mut self, name: &str, measures: &[Measure]) {
        for measure in measures {
            let rows = measure.rows(self, name);
            self.rows.extend(rows);
        }
    }

    /// A moment of the run, given in thousandths of its span.
    pub(super) fn moment(&self, thousandths: u32) -> Instant {
        Instant::START + self.options.span * thousandths / 1_000
    }

    fn add_group(&mut self, group: &'static Group) {
        let taken: u32 = self.groups.values().map(|hosts| hosts.len() as u32).sum();
        let count = match group.size {
            Size::Exactly(count) => count,
            Size::Share(thousandths) => (self.options.nodes * thousandths / 1_000).max(1),
            Size::Rest => self.options.nodes.saturating_sub(taken),
        };
        for n in 0..count as usize {
            self.add_member(group, n);
        }
    }

    /// Tells the nodes of a group whom they know.
    fn introduce(&mut self, group: &'static Group) {
        let hosts: Vec<HostId> = self.group(group.name).collect();
        if group.knows == Knows::Partner {
            for pair in hosts.chunks_exact(2) {
                let (a, b) = (pair[0], pair[1]);
                let (named_a, named_b) = (self.world.named(a), self.world.named(b));
                self.world.configure(a, |spec| spec.static_nodes.push(named_b));
                self.world.configure(b, |spec| spec.static_nodes.push(named_a));
                self.pairs.push((a, b));
            }
            return;
        }
        for host in hosts {
            self.introduce_member(group, host);
        }
    }

    /// A key of the kind that the options say.
    pub(super) fn key(&mut self) -> SecretKey {
        let crypto = if self.options.stand_in { Crypto::StandIn } else { Crypto::Real };
        self.world.key_with(crypto)
    }

    /// Adds one more node to a group, which does not know anybody yet.
    pub(super) fn add_member(&mut self, group: &'static Group, n: usize) -> HostId {
        let mut spec = NodeSpec::new(self.key());
        (group.tune)(&mut spec);
        let host = self.world.add_node(group.places[n % group.places.len()], spec);
        self.world.add_name(name(host), host);
        self.groups.entry(group.name).or_default().push(host);
        host
    }

    /// Tells a node whom it knows.
    pub(super) fn introduce_member(&mut self, group: &'static Group, host: HostId) {
        let named = |name| self.group(name).map(|it| self.world.named(it)).collect::<Vec<_>>();
        let (boot, statics, trusted) = match group.knows {
            Knows::Partner => return,
            Knows::Boot(boot) => (named(boot), Vec::new(), Vec::new()),
            Knows::Named { group, boot } => {
                let by_name = self.group(group).map(|it| by_name(&self.world, it));
                (named(boot), by_name.collect(), Vec::new())
            }
            Knows::Static { group, boot } => (named(boot), named(group), Vec::new()),
            Knows::Trusted { group, boot } => (named(boot), Vec::new(), named(group)),
        };
        self.world.configure(host, |spec| {
            if let Some(discovery) = &mut spec.discovery {
                discovery.bootnodes = boot;
            }
            spec.static_nodes = statics;
            spec.trusted = trusted.iter().map(Named::id).collect();
        });
    }
}

/// The name of a host.
fn name(host: HostId) -> String {
    format!("{host}.sim")
}

/// A node whose address is its name.
fn by_name(world: &World, host: HostId) -> Named {
    let node = world.named(host);
    let port = node.tcp_port().unwrap_or(0);
    let url = format!("enode://{}@{}:{port}", node.public_key(), name(host));
    url.parse().expect("because it is a key, a name and a port")
}

fn check(scenario: &Scenario, options: &Options) -> Result<(), OptionsError> {
    let least = scenario.groups.iter().map(|group| match group.size {
        Size::Exactly(count) => count,
        Size::Share(_) | Size::Rest => 2,
    });
    let least = least.sum();
    if options.nodes < least {
        return Err(OptionsError::TooFewNodes(least));
    }
    let shares = options.adversaries.iter().map(|(_, share)| *share);
    if shares.clone().any(|share| share > 1_000_000) {
        return Err(OptionsError::Share);
    }
    if options.nodes > MAX_NODES {
        return Err(OptionsError::TooManyNodes);
    }
    let year = Duration::from_secs(365 * 86_400);
    if options.span < Duration::from_secs(10) || options.span > year {
        return Err(OptionsError::Span);
    }
    Ok(())
}

impl fmt::Display for Outcome {
    /// The result table: a line per measure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.label.len()).max().unwrap_or(0);
        for Row { label, value } in &self.rows {
            writeln!(f, "{label:width$}  {value}")?;
        }
        Ok(())
    }
}
