//! Files that a run writes: line by line, with the path in each error.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use super::SimError;

/// A file that is written. What it was told is all there only after [`finish`](Self::finish).
pub(super) struct OutFile {
    path: PathBuf,
    out: BufWriter<File>,
}

impl OutFile {
    /// An empty file; one that is there is emptied.
    pub(super) fn create(path: &Path) -> Result<Self, SimError> {
        let file = File::create(path).map_err(|source| SimError::Open {
            what: "write",
            path: path.into(),
            source,
        })?;
        Ok(Self { path: path.into(), out: BufWriter::new(file) })
    }

    pub(super) fn line(&mut self, line: &str) -> Result<(), SimError> {
        let written = writeln!(self.out, "{line}");
        written.map_err(|source| failed(&self.path, source))
    }

    pub(super) fn finish(mut self) -> Result<(), SimError> {
        self.out.flush().map_err(|source| failed(&self.path, source))
    }
}

fn failed(path: &Path, source: std::io::Error) -> SimError {
    SimError::File { what: "write", path: path.into(), source }
}
