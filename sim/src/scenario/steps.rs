//! What happens when in a run, and how it is done.

use std::collections::BTreeMap;

use peerage_machine::Instant;

use super::{Group, Run, What};
use crate::{
    Crash, HostId, Place, Violation,
    adversary::{self, Accomplices, AdversaryKind},
};

/// Adversaries of an eclipse that share one /24.
const PER_SUBNET: u32 = 64;

/// Honest nodes that an adversary knows to begin with.
const TARGETS: usize = 8;

/// What is still to happen, in one order.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    steps: BTreeMap<(Instant, u64), Step>,
    planned: u64,
}

/// One thing to be done to the world.
#[derive(Debug)]
enum Step {
    Act(&'static What),
    /// One node of a group is replaced by a new one.
    Replace(&'static str),
    Start(HostId),
}

impl Timeline {
    fn plan(&mut self, at: Instant, step: Step) {
        self.steps.insert((at, self.planned), step);
        self.planned += 1;
    }

    fn pop(&mut self, until: Instant) -> Option<(Instant, Step)> {
        let first = self.steps.first_entry().filter(|first| first.key().0 <= until)?;
        let ((at, _), step) = first.remove_entry();
        Some((at, step))
    }
}

impl Run {
    /// Plans the starts of all groups, all acts, and the adversaries that the options name.
    pub(super) fn plan(&mut self) {
        for group in self.scenario.groups {
            let Some((from, to)) = group.starts else { continue };
            for host in self.group(group.name).collect::<Vec<_>>() {
                self.plan_start(host, self.moment(from), self.moment(to));
            }
        }
        for act in self.scenario.acts {
            let at = self.moment(act.at);
            self.timeline.plan(at, Step::Act(&act.what));
        }
        for (kind, share) in self.options.adversaries.clone() {
            let count = u64::from(self.options.nodes) * u64::from(share) / 1_000_000;
            let count = u32::try_from(count).unwrap_or(u32::MAX).max(u32::from(share > 0));
            let targets = self.scenario.groups.last().map_or("", |group| group.name);
            let hosts = self.add_adversaries(kind, count, targets);
            let end = self.moment(100);
            for host in hosts {
                self.plan_start(host, Instant::START, end);
            }
        }
    }

    /// Runs the world to `until`, with all that happens to it on the way.
    pub(super) fn run_until(&mut self, until: Instant) -> Result<(), Violation> {
        while let Some((at, step)) = self.timeline.pop(until) {
            self.world.run_until(at)?;
            match step {
                Step::Act(what) => self.act(what),
                Step::Replace(group) => self.replace(group),
                Step::Start(host) => self.world.start(host),
            }
        }
        self.world.run_until(until)
    }

    fn act(&mut self, what: &'static What) {
        match what {
            What::Adversaries { kind, percent, after } => {
                let count = (self.options.nodes * percent / 100).max(1);
                for host in self.add_adversaries(*kind, count, after) {
                    self.world.start(host);
                }
            }
            What::Churn { group, until, percent } => {
                let count = (self.group(group).count() as u32 * percent / 100).max(1);
                let (from, to) = (self.world.now(), self.moment(*until));
                let span = to.saturating_since(from);
                for n in 0..count {
                    self.timeline.plan(from + span * n / count, Step::Replace(group));
                }
            }
            What::Crash(group, how) => self.each(group, |run, host| run.world.crash(host, *how)),
            What::Faults(group, faults) => {
                self.each(group, |run, host| run.world.set_faults(host, *faults));
            }
            What::JumpClocks { group, one_in, seconds } => {
                let hosts: Vec<_> = self.group(group).step_by(*one_in as usize).collect();
                for host in hosts {
                    self.world.jump_clock(host, *seconds);
                }
            }
            What::Heal => self.each_host(|run, host| run.world.set_part(host, 0)),
            What::Measure(name, measures) => self.measure(name, measures),
            What::Resolve(resolver) => self.world.set_resolver(*resolver),
            What::Start(group) => self.each(group, |run, host| run.world.start(host)),
            What::Split => self.each_host(|run, host| run.world.set_part(host, host.0 % 2)),
            What::Suspend(group, span) => {
                let span = self.options.span * *span / 1_000;
                self.each(group, |run, host| run.world.suspend(host, span));
            }
        }
    }

    /// One running node of a group goes, in one of the ways that there are; a new one comes.
    fn replace(&mut self, name: &'static str) {
        let up: Vec<HostId> = self.group(name).filter(|host| self.world.is_up(*host)).collect();
        if !up.is_empty() {
            let out = up[usize::try_from(self.random.below(up.len() as u64)).unwrap_or(0)];
            match self.random.below(3) {
                0 => self.world.stop(out),
                1 => self.world.crash(out, Crash::Process),
                _ => self.world.crash(out, Crash::Power),
            }
        }
        let found = self.scenario.groups.iter().find(|group: &&Group| group.name == name);
        if let Some(group) = found {
            let n = self.group(name).count();
            let host = self.add_member(group, n);
            self.introduce_member(group, host);
            self.world.start(host);
        }
    }

    /// Adds adversaries that are after the first node of a group, and know some more.
    fn add_adversaries(&mut self, kind: AdversaryKind, count: u32, after: &str) -> Vec<HostId> {
        let keys: Vec<_> = (0..count).map(|_| self.key()).collect();
        let honest: Vec<HostId> = self.groups.values().flatten().copied().collect();
        let mut hosts = Vec::new();
        for key in keys {
            let mut targets: Vec<_> = self.group(after).take(1).collect();
            for _ in 0..TARGETS.min(honest.len()) {
                let at = self.random.below(honest.len() as u64);
                targets.push(honest[usize::try_from(at).unwrap_or(0)]);
            }
            let targets = targets.into_iter().map(|host| self.world.named(host)).collect();
            let place = match kind {
                AdversaryKind::Eclipse => {
                    Place::Subnet(u16::try_from(self.accomplices / PER_SUBNET).unwrap_or(u16::MAX))
                }
                _ => Place::Public,
            };
            self.accomplices += 1;
            self.adversary.insert(adversary::id(&key));
            let all = self.rings.entry(kind).or_default().clone();
            let knows = Accomplices { targets, all };
            let program = adversary::adversary(kind, key, knows);
            hosts.push(self.world.add_host(place, 0, program));
        }
        hosts
    }

    fn plan_start(&mut self, host: HostId, from: Instant, to: Instant) {
        let span = to.saturating_since(from);
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let at = from + std::time::Duration::from_nanos(self.random.below(nanos));
        self.timeline.plan(at, Step::Start(host));
    }

    fn each(&mut self, group: &str, mut act: impl FnMut(&mut Self, HostId)) {
        for host in self.group(group).collect::<Vec<_>>() {
            act(self, host);
        }
    }

    fn each_host(&mut self, mut act: impl FnMut(&mut Self, HostId)) {
        for host in self.world.hosts() {
            act(self, host);
        }
    }
}
