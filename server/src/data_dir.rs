//! What a server keeps on disk: the sequence number of its record, so that it rises across restarts
//! ([EIP-778](https://eips.ethereum.org/EIPS/eip-778#specification)).
//!
//! Not here: the secret key, which the embedding program keeps where it likes.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::error::StartError;

/// Held locked while the server runs.
const LOCK: &str = "lock";

/// Holds the sequence number in decimal digits and a newline.
const SEQUENCE: &str = "record-sequence";

/// A data directory that is ours until this value is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// The lock lives as long as the file is open, and dies with the process, however it dies.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if there is none, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::DataDir { path: path.into(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.into(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StartError::DataDirLocked { path: path.into() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The sequence number that was used last, if any was.
    pub(crate) fn sequence(&self) -> Result<Option<u64>, StartError> {
        let text = match fs::read_to_string(self.path.join(SEQUENCE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed(source)),
        };
        text.trim().parse().map(Some).map_err(|_| {
            let why = format!("its file {SEQUENCE} does not hold a number");
            self.failed(io::Error::new(io::ErrorKind::InvalidData, why))
        })
    }

    /// Remembers the sequence number that is used now.
    pub(crate) fn set_sequence(&self, sequence: u64) -> Result<(), StartError> {
        // Written beside and renamed, so that a crash leaves the old number or the new one.
        let beside = self.path.join("record-sequence.new");
        let write = || {
            let mut file = File::create(&beside)?;
            writeln!(file, "{sequence}")?;
            file.sync_all()?;
            fs::rename(&beside, self.path.join(SEQUENCE))
        };
        write().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> StartError {
        StartError::DataDir { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_number_survives_and_a_locked_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let first = DataDir::open(&path).unwrap();
        assert_eq!(first.sequence().unwrap(), None);
        first.set_sequence(7).unwrap();
        assert!(matches!(DataDir::open(&path), Err(StartError::DataDirLocked { .. })));
        drop(first);
        assert_eq!(DataDir::open(&path).unwrap().sequence().unwrap(), Some(7));
    }

    #[test]
    fn a_file_that_holds_no_number_is_named_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(SEQUENCE), "seven").unwrap();
        let error = DataDir::open(dir.path()).unwrap().sequence().unwrap_err();
        assert!(error.to_string().contains(SEQUENCE), "{error}");
    }
}
