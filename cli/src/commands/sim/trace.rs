//! Trace files: a header, a line per event, and a last line with the hash.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use peerage_sim::scenario::Run;

use super::{SimError, setup::Setup};

/// No line of a trace is as long; a file of something else may be one line.
const MAX_LINE: u64 = 1 << 20;

/// How the last line begins.
const END: &str = "hash ";

/// How a trace begins.
pub(super) fn first_line(setup: &Setup) -> String {
    serde_json::to_string(setup).expect("because a setup is numbers and texts, which JSON has")
}

/// How a trace ends.
pub(super) fn last_line(run: &Run) -> String {
    let trace = run.world().trace();
    format!("{END}{} of {} events", trace.hash(), trace.events())
}

/// A trace that is read line by line.
pub(super) struct TraceReader {
    path: PathBuf,
    reader: BufReader<File>,
    pub(super) setup: Setup,
    /// How many whole lines there were, the header among them.
    lines: u64,
    /// Whether the last one of them is how a trace ends.
    is_complete: bool,
}

impl TraceReader {
    pub(super) fn open(path: &Path) -> Result<Self, SimError> {
        let failed = |source| SimError::Open { what: "read", path: path.into(), source };
        let mut reader = BufReader::new(File::open(path).map_err(failed)?);
        let header = read_line(&mut reader).map_err(failed)?.unwrap_or_default();
        let setup = serde_json::from_str(&header).ok().filter(Setup::is_readable);
        let setup = setup.ok_or_else(|| SimError::NoTrace(path.into()))?;
        Ok(Self { path: path.into(), reader, setup, lines: 1, is_complete: false })
    }

    /// The next line; `None` at the end. A trace that ends too early, as that of a run that was
    /// stopped, is an error.
    pub(super) fn next(&mut self) -> Result<Option<String>, SimError> {
        let line = read_line(&mut self.reader).map_err(|source| SimError::File {
            what: "read",
            path: self.path.clone(),
            source,
        })?;
        match &line {
            Some(line) => {
                self.lines += 1;
                self.is_complete = line.starts_with(END);
            }
            None if self.is_complete => {}
            None => return Err(SimError::CutShort { path: self.path.clone(), lines: self.lines }),
        }
        Ok(line)
    }
}

/// A whole line; `None` where there is none, or one without an end.
fn read_line(reader: &mut BufReader<File>) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    reader.take(MAX_LINE).read_until(b'\n', &mut line)?;
    Ok((line.pop() == Some(b'\n')).then(|| String::from_utf8_lossy(&line).into_owned()))
}
