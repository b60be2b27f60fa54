#![doc = include_str!("../README.md")]
//!
//! # How it is written
//!
//! One subcommand per file, thin over the library: everything here parses words, calls `peerage`,
//! and prints. What is wrong is said in one sentence on standard error. Exit code 0 is success, 1 a
//! failure, 2 a mistake in the words given.

mod args;
mod commands;
mod echo;
mod event;
mod failure;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod key_file;
mod log;
mod output;
mod probe;
mod reason;
mod rlp;
mod value;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// Runs and inspects Ethereum devp2p nodes.
#[derive(Debug, Parser)]
#[command(
    name = "peerage",
    version,
    max_term_width = 100,
    after_help = "Examples:
  peerage devnet                                 a private network in one process, in seconds
  peerage run --data-dir ./node --echo demo/1/4  a node that answers every message with itself
  peerage ping enode://…@203.0.113.7:30303       is that node there, and what does it speak?
  peerage lookup --bootnodes enode://…@203.0.113.7:30303     who is in that network?
  peerage sim bootstrap --nodes 200 --plot net.svg                 200 nodes find each other, in virtual time"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Devnet(commands::devnet::Devnet),
    #[command(subcommand)]
    Enr(commands::enr::Enr),
    #[command(subcommand)]
    Key(commands::key::Key),
    Lookup(commands::lookup::Lookup),
    Ping(commands::ping::Ping),
    Run(commands::run::Run),
    Sim(commands::sim::Sim),
    Talk(commands::talk::Talk),
}

impl Command {
    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Devnet(devnet) => devnet.run(),
            Self::Enr(enr) => enr.run(),
            Self::Key(key) => key.run(),
            Self::Lookup(lookup) => lookup.run(),
            Self::Ping(ping) => ping.run(),
            Self::Run(run) => run.run(),
            Self::Sim(sim) => sim.run(),
            Self::Talk(talk) => talk.run(),
        }
    }
}

/// Does what the words on the command line say.
pub fn main() -> ExitCode {
    match Arguments::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_broken_pipe() {
                eprintln!("error: {failure}");
            }
            failure.exit_code()
        }
    }
}
