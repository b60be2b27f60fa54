//! Trace files: a header, a line per event, and a last line with the hash.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Lines, Write as _},
    path::{Path, PathBuf},
};

use peerage_sim::scenario::Run;

use super::{SimError, setup::Setup};

/// A trace that is written as the run goes.
pub(super) struct TraceFile {
    path: PathBuf,
    out: BufWriter<File>,
}

impl TraceFile {
    pub(super) fn create(path: &Path, setup: &Setup) -> Result<Self, SimError> {
        let failed = |source| SimError::File { what: "write", path: path.into(), source };
        let mut out = BufWriter::new(File::create(path).map_err(failed)?);
        let header = serde_json::to_string(setup)
            .expect("because a setup is numbers and texts, which JSON has");
        writeln!(out, "{header}").map_err(failed)?;
        Ok(Self { path: path.into(), out })
    }

    pub(super) fn write(&mut self, lines: Vec<String>) -> Result<(), SimError> {
        for line in lines {
            writeln!(self.out, "{line}").map_err(|source| self.failed(source))?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, run: &Run) -> Result<(), SimError> {
        writeln!(self.out, "{}", last_line(run)).map_err(|source| self.failed(source))?;
        self.out.flush().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> SimError {
        SimError::File { what: "write", path: self.path.clone(), source }
    }
}

/// How a trace ends.
pub(super) fn last_line(run: &Run) -> String {
    let trace = run.world().trace();
    format!("hash {} of {} events", trace.hash(), trace.events())
}

/// A trace that is read line by line.
pub(super) struct TraceReader {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
    pub(super) setup: Setup,
}

impl TraceReader {
    pub(super) fn open(path: &Path) -> Result<Self, SimError> {
        let file = File::open(path).map_err(|source| SimError::File {
            what: "read",
            path: path.into(),
            source,
        })?;
        let mut lines = BufReader::new(file).lines();
        let header = lines.next().and_then(Result::ok).unwrap_or_default();
        let setup = serde_json::from_str(&header).ok().filter(Setup::is_readable);
        let setup = setup.ok_or_else(|| SimError::NoTrace(path.into()))?;
        Ok(Self { path: path.into(), lines, setup })
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<String>, SimError> {
        self.lines.next().transpose().map_err(|source| SimError::File {
            what: "read",
            path: self.path.clone(),
            source,
        })
    }
}
