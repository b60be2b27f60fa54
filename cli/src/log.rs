//! Logs: from `tracing` to standard error, out of the way of the status line.

use std::{
    io::{self, Write},
    str::FromStr,
};

use clap::Args;
use indicatif::MultiProgress;
use serde::{Deserialize, Deserializer, de::Error as _};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// `--log`, for the commands that run servers.
#[derive(Args, Clone, Debug)]
pub(crate) struct LogArgs {
    /// What to log to standard error: off, error, warn, info, debug, trace, or a list such as
    /// `warn,peerage=debug`.
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub(crate) log: LogFilter,
}

/// A filter as `tracing-subscriber` writes it, known to be valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// Sends logs to standard error from now on, above the lines that `progress` draws.
    pub(crate) fn install(&self, progress: &MultiProgress) {
        let filter =
            EnvFilter::try_new(&self.0).expect("because from_str() accepted the same text");
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .with_writer(AboveProgress(progress.clone()))
            .init();
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("warn".into())
    }
}

impl FromStr for LogFilter {
    type Err = LogFilterError;

    fn from_str(text: &str) -> Result<Self, LogFilterError> {
        // The library panics at some letters beyond ASCII, and what it makes of the values in a
        // filter of spans can take it minutes. Our filters have neither.
        if !text.is_ascii() || text.contains(['[', ']', '{', '}']) {
            return Err(LogFilterError);
        }
        EnvFilter::try_new(text).map_err(|_| LogFilterError)?;
        Ok(Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The text is not a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a log filter is off, error, warn, info, debug, trace or a list such as warn,peerage=debug"
)]
pub(crate) struct LogFilterError;

/// Writes to standard error while the progress lines are cleared away.
struct AboveProgress(MultiProgress);

impl<'a> MakeWriter<'a> for AboveProgress {
    type Writer = Lines<'a>;

    fn make_writer(&'a self) -> Lines<'a> {
        Lines(&self.0)
    }
}

struct Lines<'a>(&'a MultiProgress);

impl Write for Lines<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: the library cuts a letter in two, and works for minutes on a pattern.
    #[test]
    fn a_filter_beyond_ascii_or_of_spans_is_refused_in_words() {
        for text in [" og'\u{64a}=\u{54a}s=", "\u{64a}=debug", "[peer{id=XX?XbX*}]=debug"] {
            assert_eq!(text.parse::<LogFilter>(), Err(LogFilterError), "{text}");
        }
        assert!("warn,peerage=debug".parse::<LogFilter>().is_ok());
    }
}
