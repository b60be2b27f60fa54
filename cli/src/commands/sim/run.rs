//! One run: from the words to the result.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use peerage_sim::{
    metrics::Sample,
    scenario::{Outcome, Run, Scenario},
};
use serde_json::json;

use super::{
    SimError, export,
    file::OutFile,
    plot,
    progress::Progress,
    setup::{self, AdversaryShare, Setup},
    trace,
};
use crate::{
    failure::Failure,
    output::{self, Fields},
};

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// What is simulated; `peerage sim list` explains each.
    #[arg(required = true, value_name = "SCENARIO")]
    scenario: Option<String>,
    /// How many nodes there are, adversaries not counted. [default: the scenario's]
    #[arg(long, value_name = "N")]
    nodes: Option<u32>,
    /// From which everything random follows. [default: a new one, which is printed]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// How many hours of virtual time. [default: the scenario's]
    #[arg(long, value_name = "H", value_parser = setup::hours, allow_negative_numbers = true)]
    hours: Option<Duration>,
    /// How many minutes of virtual time, in the place of hours.
    #[arg(long, value_name = "M", value_parser = setup::minutes, conflicts_with = "hours", allow_negative_numbers = true)]
    minutes: Option<Duration>,
    /// Adversaries that are there too, and how many for each node: silent=10% (repeatable).
    #[arg(long, value_name = "KIND=SHARE")]
    adversary: Vec<AdversaryShare>,
    /// Whether keys and signatures are real, or stand-ins that cost a fortieth and protect nothing.
    /// [default: the scenario's]
    #[arg(long, value_name = "KIND")]
    crypto: Option<Crypto>,
    /// For how many seconds two nodes may differ on whether they are connected before that breaks a
    /// rule. [default: 45]
    #[arg(long, value_name = "SECONDS", value_parser = setup::seconds, allow_negative_numbers = true)]
    agree_within: Option<Duration>,
    /// Write every event to a file, a line each, for `peerage sim replay`.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the metrics over time to a file.
    #[arg(long, value_name = "FILE.csv")]
    csv: Option<PathBuf>,
    /// Draw the metrics over time.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Print one JSON object per sample and line; the last is `result`.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Crypto {
    Real,
    StandIn,
}

/// What a run writes.
struct Files {
    trace: Option<OutFile>,
    csv: Option<OutFile>,
    plot: Option<OutFile>,
}

impl Files {
    /// Opens all of them: a path that is wrong is said before the run, not after an hour.
    fn create(args: &RunArgs, setup: &Setup) -> Result<Self, SimError> {
        let create = |path: &Option<PathBuf>| path.as_deref().map(OutFile::create).transpose();
        let mut files = Self {
            trace: create(&args.trace)?,
            csv: create(&args.csv)?,
            plot: create(&args.plot)?,
        };
        if let Some(trace) = &mut files.trace {
            trace.line(&trace::first_line(setup))?;
        }
        if let Some(csv) = &mut files.csv {
            csv.line(&export::csv_header())?;
        }
        Ok(files)
    }

    /// Writes what a run gave since the last sample. Memory is bounded by what happens in that
    /// time.
    fn step(&mut self, lines: &[String], sample: Option<&Sample>) -> Result<(), SimError> {
        if let Some(trace) = &mut self.trace {
            lines.iter().try_for_each(|line| trace.line(line))?;
        }
        if let (Some(csv), Some(sample)) = (&mut self.csv, sample) {
            csv.line(&export::csv_row(sample))?;
        }
        Ok(())
    }
}

pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    let (setup, mut run) = begin(args)?;
    let mut files = Files::create(args, &setup)?;
    if files.trace.is_some() {
        run.world_mut().trace_mut().record();
    }
    announce(args, &setup)?;
    let progress = Progress::new(args.json, &setup);
    let began = Instant::now();
    let mut samples = Vec::new();
    let broken = loop {
        let advanced = run.advance();
        let lines = run.world_mut().trace_mut().take_lines();
        files.step(&lines, advanced.as_ref().ok().and_then(Option::as_ref))?;
        match advanced {
            Ok(Some(sample)) => {
                progress.show(&sample, began.elapsed());
                if args.json {
                    output::json_line(&export::json(&sample))?;
                }
                samples.push(sample);
            }
            Ok(None) => break None,
            Err(violation) => break Some(violation),
        }
    };
    progress.end();
    let took = began.elapsed();
    if let Some(mut trace) = files.trace {
        trace.line(&trace::last_line(&run))?;
        trace.finish()?;
    }
    files.csv.map_or(Ok(()), OutFile::finish)?;
    let has_adversary = !run.adversary().is_empty();
    let outcome = run.finish();
    if let (Some(mut plot), Some(path)) = (files.plot, &args.plot) {
        let svg = plot::draw(&setup, &samples, &outcome.degrees, has_adversary)
            .map_err(|why| SimError::Plot { path: path.clone(), why })?;
        plot.line(&svg)?;
        plot.finish()?;
    }
    match broken {
        None => finish(args, &setup, &outcome, took),
        Some(violation) => {
            if args.json {
                output::json_line(&json!({
                    "event": "violation",
                    "at_ns": violation.at.as_nanos(),
                    "host": violation.host.0,
                    "what": violation.what,
                    "command": setup.to_string(),
                }))?;
            }
            Err(SimError::Broken { violation, again: setup.to_string() }.into())
        }
    }
}

/// Says what repeats the run before it begins: also one that is stopped or fails has a seed.
fn announce(args: &RunArgs, setup: &Setup) -> Result<(), Failure> {
    let line = setup.to_string();
    if args.json {
        output::json_line(&json!({
            "event": "started",
            "scenario": setup.scenario,
            "seed": setup.seed,
            "nodes": setup.nodes,
            "command": line,
        }))?;
    } else {
        output::text(&format!("again  {line}\n\n"))?;
    }
    Ok(())
}

fn begin(args: &RunArgs) -> Result<(Setup, Run), Failure> {
    let name = args.scenario.as_deref().unwrap_or_default();
    let scenario = Scenario::find(name).ok_or_else(|| {
        let known: Vec<_> = Scenario::all().iter().map(|scenario| scenario.name).collect();
        SimError::Unknown { name: name.into(), known: known.join(", ") }
    })?;
    let seed = match args.seed {
        Some(seed) => seed,
        // Short enough to be typed again.
        None => u64::from(
            getrandom::u32().map_err(|error| Failure::Runtime(std::io::Error::other(error)))?,
        ),
    };
    let mut options = scenario.options(seed);
    options.nodes = args.nodes.unwrap_or(options.nodes);
    options.span = args.hours.or(args.minutes).unwrap_or(options.span);
    options.agreement = args.agree_within.unwrap_or(options.agreement);
    if let Some(crypto) = args.crypto {
        options.stand_in = matches!(crypto, Crypto::StandIn);
    }
    options.adversaries = args.adversary.iter().map(|it| (it.kind, it.share)).collect();
    let setup = Setup::new(scenario, &options);
    let run = Run::new(scenario, options).map_err(SimError::from)?;
    Ok((setup, run))
}

fn finish(args: &RunArgs, setup: &Setup, outcome: &Outcome, took: Duration) -> Result<(), Failure> {
    if args.json {
        output::json_line(&json!({
            "event": "result",
            "scenario": setup.scenario,
            "seed": setup.seed,
            "nodes": setup.nodes,
            "command": setup.to_string(),
            "rows": outcome.rows.iter().map(|row| json!({ "label": row.label, "value": row.value })).collect::<Vec<_>>(),
            "degrees": outcome.degrees,
            "hash": outcome.hash,
            "events": outcome.events,
            "ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }))?;
        return Ok(());
    }
    let mut about = Fields::new();
    about.add("virtual time", human(setup.span())).add("real time", human(took));
    about.add("events", outcome.events).add("hash of the trace", &outcome.hash);
    if let Some(memory) = peak_memory() {
        about.add("memory at most", memory);
    }
    output::text(&format!("{outcome}\n{}", about.render("")))?;
    Ok(())
}

/// The most memory that this process had, where the system tells.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(output::human_bytes(kib * 1024))
}

fn human(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", span.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}
