//! Where a server keeps things on disk: a directory that is its own while it runs.
//!
//! Not here: what is kept there ([`store`](super)), and the secret key, which the embedding
//! program keeps where it likes.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use crate::error::StartError;

/// Held locked while the server runs.
const LOCK: &str = "lock";

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

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_directory_is_refused_until_it_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let first = DataDir::open(&path).unwrap();
        assert_eq!(first.path(), path);
        assert!(matches!(DataDir::open(&path), Err(StartError::DataDirLocked { .. })));
        drop(first);
        DataDir::open(&path).unwrap();
    }
}
