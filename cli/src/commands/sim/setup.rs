//! Everything that a run follows from: what the words say, and what a trace keeps.

use std::{fmt, str::FromStr, time::Duration};

use peerage_sim::{
    adversary::AdversaryKind,
    scenario::{Options, Run, Scenario},
};
use serde::{Deserialize, Serialize};

use super::SimError;

/// The form of traces that this program writes and reads.
const VERSION: u32 = 1;

/// A run, as it can be made again. The first line of a trace.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Setup {
    /// The form of the trace.
    pub(super) peerage_sim_trace: u32,
    /// The program that wrote it: another one may decide otherwise.
    pub(super) version: String,
    pub(super) scenario: String,
    pub(super) nodes: u32,
    pub(super) seed: u64,
    pub(super) span_ns: u64,
    pub(super) stand_in: bool,
    /// Kinds with their shares, in parts per million.
    pub(super) adversaries: Vec<(String, u32)>,
}

/// An adversary and its share, as `silent=10%`.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdversaryShare {
    pub(super) kind: AdversaryKind,
    /// In parts per million of the nodes.
    pub(super) share: u32,
}

impl Setup {
    pub(super) fn new(scenario: &Scenario, options: &Options) -> Self {
        Self {
            peerage_sim_trace: VERSION,
            version: env!("CARGO_PKG_VERSION").into(),
            scenario: scenario.name.into(),
            nodes: options.nodes,
            seed: options.seed,
            span_ns: u64::try_from(options.span.as_nanos()).unwrap_or(u64::MAX),
            stand_in: options.stand_in,
            adversaries: options
                .adversaries
                .iter()
                .map(|(kind, share)| (kind.name().into(), *share))
                .collect(),
        }
    }

    /// The run at its beginning; `None` if this program does not know what is asked for.
    pub(super) fn begin(&self) -> Option<Result<Run, SimError>> {
        let scenario = Scenario::find(&self.scenario)?;
        let kind = |(name, share): &(String, u32)| Some((name.parse().ok()?, *share));
        let options = Options {
            nodes: self.nodes,
            seed: self.seed,
            span: Duration::from_nanos(self.span_ns),
            adversaries: self.adversaries.iter().map(kind).collect::<Option<_>>()?,
            stand_in: self.stand_in,
        };
        Some(Run::new(scenario, options).map_err(SimError::from))
    }

    /// Whether this program reads the trace.
    pub(super) const fn is_readable(&self) -> bool {
        self.peerage_sim_trace == VERSION
    }

    pub(super) const fn span(&self) -> Duration {
        Duration::from_nanos(self.span_ns)
    }
}

impl fmt::Display for Setup {
    /// The command that makes this run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peerage sim {} --nodes {} --seed {}", self.scenario, self.nodes, self.seed)?;
        let seconds = self.span().as_secs();
        match seconds.is_multiple_of(60) {
            true => write!(f, " --minutes {}", seconds / 60)?,
            false => write!(f, " --minutes {}", self.span().as_secs_f64() / 60.0)?,
        }
        write!(f, " --crypto {}", if self.stand_in { "stand-in" } else { "real" })?;
        for (kind, share) in &self.adversaries {
            write!(f, " --adversary {kind}={}%", f64::from(*share) / 10_000.0)?;
        }
        Ok(())
    }
}

impl FromStr for AdversaryShare {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "write it as KIND=SHARE, such as silent=10% or silent=0.1".to_owned();
        let (kind, share) = text.split_once('=').ok_or_else(form)?;
        let kind = kind.parse().map_err(|_| {
            let known: Vec<_> = AdversaryKind::ALL.iter().map(|kind| kind.name()).collect();
            format!("there is no adversary {kind:?}; there are {}", known.join(", "))
        })?;
        let (number, unit) = match share.strip_suffix('%') {
            Some(number) => (number, 0.01),
            None => (share, 1.0),
        };
        let share = number.parse::<f64>().map_err(|_| form())? * unit;
        if !(share > 0.0 && share <= 1.0) {
            return Err("a share is above 0 and at most 1, or 100%, of the nodes".into());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most a million"
        )]
        let share = ((share * 1e6).round() as u32).max(1);
        Ok(Self { kind, share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_parts_or_percent() {
        let share = |text: &str| text.parse::<AdversaryShare>().map(|it| it.share);
        assert_eq!(share("eclipse=10%"), Ok(100_000));
        assert_eq!(share("eclipse=0.1"), Ok(100_000));
        assert_eq!(share("eclipse=1"), Ok(1_000_000));
        for wrong in ["eclipse", "eclipse=", "eclipse=0", "eclipse=101%", "eclipse=x", "nobody=1%"]
        {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
