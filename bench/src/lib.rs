//! What benchmarks of more than one crate need: two pieces of code timed against each other, and
//! what they are measured with and against.
//!
//! Criterion times one function after the other, so on a machine that does other things its figures
//! cannot be divided by each other. In [`race`], short rounds of both alternate, so that a
//! disturbance meets both, and the median round of each counts.
//!
//! Not here: any benchmark. Each is in the crate that it measures. Not published, and neither are
//! they: a package holds no benchmarks.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

mod limit;
mod payload;

use std::time::{Duration, Instant};

use criterion::Criterion;

pub use limit::Limit;
pub use payload::{KINDS, Kind, SIZES};

/// Settings under which a whole benchmark ends within a minute.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(200))
        .sample_size(10)
        .without_plots()
        .configure_from_args()
}

/// Whether the tables are wanted: not when benchmarks are only listed, filtered or tried out.
pub fn wants_tables() -> bool {
    std::env::args().skip(1).all(|argument| argument == "--bench")
}

/// How long `run` takes to make `iterations` rounds of what is measured.
pub fn time(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// The median times per iteration, in nanoseconds, of two functions that run a number of iterations
/// and say how long those took.
pub fn race(
    mut ours: impl FnMut(u32) -> Duration,
    mut limit: impl FnMut(u32) -> Duration,
) -> (f64, f64) {
    const ROUND: Duration = Duration::from_micros(400);
    const TOTAL: Duration = Duration::from_secs(1);

    limit(1);
    let once = limit(1).max(Duration::from_nanos(50));
    let iterations = u32::try_from(ROUND.as_nanos() / once.as_nanos()).unwrap_or(1).clamp(1, 256);
    let (mut rounds_of_ours, mut rounds_of_limit) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while start.elapsed() < TOTAL {
        rounds_of_ours.push(ours(iterations));
        rounds_of_limit.push(limit(iterations));
    }
    let per_iteration = |mut rounds: Vec<Duration>| {
        rounds.sort_unstable();
        rounds[rounds.len() / 2].as_secs_f64() * 1e9 / f64::from(iterations)
    };
    (per_iteration(rounds_of_ours), per_iteration(rounds_of_limit))
}
