//! Every scenario: over fixed seeds its result table is as it was reviewed, and over a fresh one no
//! rule is broken.
//!
//! A table that changed for a reason is accepted with
//! `INSTA_UPDATE=always cargo test -p peerage-sim --test scenarios`.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a run over a fresh seed, which is drawn and told here"
)]

use std::{
    hash::{BuildHasher as _, RandomState},
    io::Write as _,
    time::Duration,
};

use peerage_sim::scenario::{Outcome, Run, Scenario};

/// Runs a scenario with so many nodes, for so many minutes.
fn run(name: &str, seed: u64, nodes: u32, minutes: u64) -> Outcome {
    let scenario = Scenario::find(name).unwrap();
    let mut options = scenario.options(seed);
    options.nodes = nodes;
    options.span = Duration::from_secs(60 * minutes);
    // What is decided does not hang on it, and it is a fortieth of the work.
    options.stand_in = true;
    match Run::new(scenario, options).unwrap().complete() {
        Ok(outcome) => outcome,
        Err(violation) => panic!(
            "{violation}\nreplay: peerage sim {name} --nodes {nodes} --seed {seed} --minutes {minutes} --crypto stand-in"
        ),
    }
}

/// The tables of two fixed seeds, and a run over a fresh one.
fn check(name: &str, nodes: u32, minutes: u64) {
    check_with(name, &[(1, nodes), (2, nodes)], nodes, minutes);
}

/// The tables of these seeds and numbers of nodes, and a run over a fresh seed.
fn check_with(name: &str, fixed: &[(u64, u32)], fresh_nodes: u32, minutes: u64) {
    let mut tables = String::new();
    for (seed, nodes) in fixed {
        let outcome = run(name, *seed, *nodes, minutes);
        tables += &format!("{name}, {nodes} nodes, {minutes} minutes, seed {seed}\n\n{outcome}\n");
    }
    insta::assert_snapshot!(name, tables);
    let seed = RandomState::new().hash_one(name);
    // Past the test runner, which shows what is printed only where a test fails.
    let fresh =
        format!("--nodes {fresh_nodes} --minutes {minutes} --seed {seed} --crypto stand-in");
    let line = format!("fresh seed: peerage sim {name} {fresh}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    run(name, seed, fresh_nodes, minutes);
}

#[test]
fn bootstrap() {
    check_with("bootstrap", &[(1, 1_000), (2, 150)], 150, 5);
}

#[test]
fn churn() {
    check("churn", 40, 80);
}

#[test]
fn partition() {
    check("partition", 60, 30);
}

#[test]
fn eclipse() {
    check("eclipse", 40, 50);
}

#[test]
fn boot_node_dies() {
    check("boot-node-dies", 60, 40);
}

#[test]
fn nat() {
    check("nat", 40, 20);
}

#[test]
fn reserved() {
    check("reserved", 60, 30);
}

#[test]
fn crossed_dials() {
    check_with("crossed-dials", &[(1, 20_000), (2, 1_000)], 2_000, 2);
}

#[test]
fn clock_jumps() {
    check("clock-jumps", 60, 40);
}

#[test]
fn local_faults() {
    check("local-faults", 40, 30);
}

#[test]
fn discovery() {
    check("discovery", 100, 60);
}
