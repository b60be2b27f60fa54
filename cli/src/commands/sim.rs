//! `peerage sim`: a network of the shipping machines in one thread and in virtual time,
//! reproducible from a seed.

mod export;
mod file;
mod list;
mod plot;
mod progress;
mod replay;
mod run;
mod setup;
mod trace;

use std::{io, path::PathBuf};

use clap::{Args, Subcommand};
use peerage_sim::{Violation, scenario::OptionsError};

use crate::failure::Failure;

/// Simulates a network of thousands of nodes from one seed: the same seed gives the same events, on
/// every machine.
///
/// The nodes are made of the code that runs in a server; the network, the clocks and the time are
/// not real. The exit code is 1 if a rule was broken that holds in every network, such as slots
/// that are exceeded.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  peerage sim list
  peerage sim bootstrap --nodes 200 --seed 1 --plot net.svg
  peerage sim eclipse --json
  peerage sim churn --adversary silent=10% --adversary liar=5% --trace churn.trace
  peerage sim replay churn.trace
  peerage sim diff churn.trace other.trace

Events of --json, one per line: started (scenario, seed, nodes, command), sample (seconds, nodes, ...: the columns
of --csv), violation if a rule was broken (at_ns, host, what, command), and otherwise the last, result (scenario,
seed, rows, degrees, hash, events, ms)"
)]
pub(crate) struct Sim {
    #[command(subcommand)]
    command: Option<SimCommand>,
    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum SimCommand {
    /// Compares two trace files, and shows the first difference.
    Diff(replay::Diff),
    /// Explains the scenarios and the adversaries.
    List,
    /// Runs again what a trace file tells of, and shows the first difference.
    Replay(replay::Replay),
}

/// Why a simulation came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SimError {
    /// A rule was broken.
    #[error("{violation}\nagain: {again}")]
    Broken {
        /// Which.
        violation: Violation,
        /// The command that does it again.
        again: String,
    },
    /// A trace is shorter than its run.
    #[error(
        "{} is cut short: it ends after line {lines}, without a line with the hash; nothing differs up to there",
        path.display()
    )]
    CutShort {
        /// The file.
        path: PathBuf,
        /// How many whole lines it has.
        lines: u64,
    },
    /// Two traces are not the same.
    #[error("the traces differ at line {line}:\n{context}  - {}\n  + {}", show(.one), show(.other))]
    Differs {
        /// Counted from 1.
        line: usize,
        /// The lines before.
        context: String,
        /// What the first has there.
        one: Option<String>,
        /// What the second has there.
        other: Option<String>,
    },
    /// A file cannot be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was to be done with it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something that only this version of the program could not read.
    #[error("{} is no trace of `peerage sim`: its first line should be its header", .0.display())]
    NoTrace(PathBuf),
    /// A file that was named cannot be opened.
    #[error("cannot {what} {}: {source}; name another file", path.display())]
    Open {
        /// What was to be done with it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The options do not fit the scenario.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The picture could not be drawn.
    #[error("cannot draw {}: {why}", path.display())]
    Plot {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// No such scenario.
    #[error("there is no scenario {name:?}; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// All of them.
        known: String,
    },
}

impl SimError {
    /// Whether the words on the command line are to blame.
    pub(crate) const fn is_mistake(&self) -> bool {
        match self {
            Self::NoTrace(_) | Self::Open { .. } | Self::Options(_) | Self::Unknown { .. } => true,
            Self::Broken { .. }
            | Self::CutShort { .. }
            | Self::Differs { .. }
            | Self::File { .. }
            | Self::Plot { .. } => false,
        }
    }
}

impl Sim {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            None => run::run(&self.run),
            Some(SimCommand::Diff(diff)) => diff.run(),
            Some(SimCommand::List) => list::run(),
            Some(SimCommand::Replay(replay)) => replay.run(),
        }
    }
}

fn show(line: &Option<String>) -> &str {
    line.as_deref().unwrap_or("(the end)")
}
