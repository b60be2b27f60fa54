//! What can go wrong in a command, as one sentence each, and the exit code that it gives.

use std::{io, process::ExitCode};

use crate::{
    commands::{
        devnet::DevnetError,
        enr::EnrError,
        lookup::LookupError,
        ping::{PingError, udp::PingUdpError},
        run::config::ConfigError,
        sim::SimError,
        talk::TalkError,
    },
    key_file::KeyFileError,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The file of settings is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The network in one process did not come to be.
    #[error(transparent)]
    Devnet(#[from] DevnetError),
    /// A node record could not be read or made.
    #[error(transparent)]
    Enr(#[from] EnrError),
    /// The key could not be read or written.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The lookup found nothing.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// Standard output or the runtime failed.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// The node did not answer.
    #[error(transparent)]
    Ping(#[from] PingError),
    /// The node did not answer over UDP.
    #[error(transparent)]
    PingUdp(#[from] PingUdpError),
    /// The runtime or the signal handlers could not be set up.
    #[error("the operating system refuses what a server needs: {0}")]
    Runtime(#[source] io::Error),
    /// A simulation could not run, broke a rule, or was not the same again.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The server could not start.
    #[error(transparent)]
    Start(#[from] peerage::StartError),
    /// The node did not answer a TALKREQ.
    #[error(transparent)]
    Talk(#[from] TalkError),
}

impl Failure {
    /// 2 for a mistake in what was asked for, as clap has it for flags; 1 for everything else.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(2),
            Self::Sim(error) if error.is_mistake() => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }

    /// Whether the reader of our output went away, as `head` does: nothing to complain about.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
