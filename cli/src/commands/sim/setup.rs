//! Everything that a run follows from: what the words say, and what a trace keeps.

use std::{fmt, str::FromStr, time::Duration};

use peerage_sim::{
    Bounds,
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
    pub(super) agreement_ns: u64,
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
            span_ns: nanos(options.span),
            stand_in: options.stand_in,
            agreement_ns: nanos(options.agreement),
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
        let mut options = scenario.options(self.seed);
        options.nodes = self.nodes;
        options.span = Duration::from_nanos(self.span_ns);
        options.adversaries = self.adversaries.iter().map(kind).collect::<Option<_>>()?;
        options.stand_in = self.stand_in;
        options.agreement = Duration::from_nanos(self.agreement_ns);
        Some(Run::new(scenario, options).map_err(SimError::from))
    }

    /// Whether this program reads the trace.
    pub(super) const fn is_readable(&self) -> bool {
        self.peerage_sim_trace == VERSION
    }

    /// What a picture of the run is called.
    pub(super) fn caption(&self) -> String {
        let mut text = format!("{}: {} nodes, seed {}", self.scenario, self.nodes, self.seed);
        for (kind, share) in &self.adversaries {
            text += &format!(", {kind} {}%", f64::from(*share) / 10_000.0);
        }
        text
    }

    pub(super) const fn span(&self) -> Duration {
        Duration::from_nanos(self.span_ns)
    }
}

impl fmt::Display for Setup {
    /// The command that makes this run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peerage sim {} --nodes {} --seed {}", self.scenario, self.nodes, self.seed)?;
        write!(f, " --minutes {}", minutes_of(self.span()))?;
        write!(f, " --crypto {}", if self.stand_in { "stand-in" } else { "real" })?;
        let agreement = Duration::from_nanos(self.agreement_ns);
        if agreement != Bounds::AGREEMENT {
            write!(f, " --agree-within {}", agreement.as_secs_f64())?;
        }
        for (kind, share) in &self.adversaries {
            write!(f, " --adversary {kind}={}%", f64::from(*share) / 10_000.0)?;
        }
        Ok(())
    }
}

/// What follows --hours, --minutes or --agree-within is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("say how long as a number above 0, such as 2 or 0.5")]
pub(super) struct SpanError;

/// A number of hours.
pub(super) fn hours(text: &str) -> Result<Duration, SpanError> {
    span(text, 3_600_000.0)
}

/// A number of minutes.
pub(super) fn minutes(text: &str) -> Result<Duration, SpanError> {
    span(text, 60_000.0)
}

/// A number of seconds.
pub(super) fn seconds(text: &str) -> Result<Duration, SpanError> {
    span(text, 1_000.0)
}

/// To the millisecond: [`minutes_of`] is exact then, and the command that repeats a run means the
/// same one.
fn span(text: &str, unit_ms: f64) -> Result<Duration, SpanError> {
    let count: f64 = text.parse().map_err(|_| SpanError)?;
    if !count.is_finite() || count <= 0.0 {
        return Err(SpanError);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "above 0, and what is too large becomes the most, which no scenario takes"
    )]
    let millis = (count * unit_ms).round() as u64;
    Ok(Duration::from_millis(millis))
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The number of minutes that [`minutes`] makes this span of.
#[expect(clippy::cast_precision_loss, reason = "a year of milliseconds is far below 2^52")]
pub(super) fn minutes_of(span: Duration) -> f64 {
    span.as_millis() as f64 / 60_000.0
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_command_that_repeats_a_run_has_its_span_exactly(ms in 1u64..31_536_000_000) {
            let span = Duration::from_millis(ms);
            prop_assert_eq!(minutes(&minutes_of(span).to_string()), Ok(span));
        }
    }

    #[test]
    fn a_span_is_a_number_above_nothing() {
        assert_eq!(hours("0.5"), Ok(Duration::from_secs(1_800)));
        for wrong in ["0", "-1", "NaN", "inf", "two", ""] {
            assert_eq!(minutes(wrong), Err(SpanError), "{wrong}");
        }
    }

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
