//! A node's secret key in a file: 64 hexadecimal digits, as go-ethereum's `nodekey`, mode 0600.
//!
//! # Security
//!
//! A file is never overwritten, is created unreadable for others, and is refused when others can
//! read it: who has the key can pass as the node.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use peerage::{KeyError, SecretKey};
use zeroize::Zeroizing;

/// A key is 64 digits, perhaps `0x` and a line end; whoever names another file is told so before
/// all of it is read.
const MAX_SIZE: u64 = 128;

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum KeyFileError {
    /// It holds something else.
    #[error(
        "{} holds no key ({source}); name another file, or make one with `peerage key generate`",
        path.display()
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// It exists, and would be overwritten.
    #[error("{} exists already and is never overwritten; name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Everybody can read it.
    #[error(
        "the key in {0} can be read by every user of this machine; run `chmod 600 {0}`",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It does not exist.
    #[error("there is no key file {0}; make one with `peerage key generate {0}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no randomness.
    #[error("the operating system gives no randomness for a key: {0}")]
    Random(getrandom::Error),
    /// It cannot be read.
    #[error("cannot read the key file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the key file {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The key in the file at `path`.
pub(crate) fn load(path: &Path) -> Result<SecretKey, KeyFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing { path: path.into() },
        _ => KeyFileError::Read { path: path.into(), source },
    };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(KeyFileError::Exposed { path: path.into() });
    }
    if mode & 0o070 != 0 {
        tracing::warn!(path = %path.display(), "the key file can be read by its group");
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_SIZE).read_to_end(&mut bytes).map_err(failed)?;
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    text.trim().parse().map_err(|source| KeyFileError::Content { path: path.into(), source })
}

/// Makes a new key, in a file that must not exist yet; the folders above it are made too.
pub(crate) fn create(path: &Path) -> Result<SecretKey, KeyFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.into() },
        _ => KeyFileError::Write { path: path.into(), source },
    };
    let key = random_key()?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| KeyFileError::Write { path: path.into(), source })?;
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let secret = Zeroizing::new(key.to_bytes());
    let mut line = Zeroizing::new(hex::encode(secret.as_slice()));
    line.push('\n');
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
    if let Err(source) = written {
        // Half a key would stand in the way of the next try; the first error is the one to report.
        let _ = fs::remove_file(path);
        return Err(KeyFileError::Write { path: path.into(), source });
    }
    Ok(key)
}

/// The key in the file at `path`, which is made if there is none.
pub(crate) fn load_or_create(path: &Path) -> Result<SecretKey, KeyFileError> {
    match load(path) {
        Err(KeyFileError::Missing { .. }) => match create(path) {
            // Another process was faster.
            Err(KeyFileError::Exists { .. }) => load(path),
            created => created,
        },
        loaded => loaded,
    }
}

/// The key in the file, or one made for this once where none is named.
pub(crate) fn load_or_random(path: Option<&Path>) -> Result<SecretKey, KeyFileError> {
    path.map_or_else(random_key, load)
}

/// A key for one run, from the system's randomness.
pub(crate) fn random_key() -> Result<SecretKey, KeyFileError> {
    let mut bytes = Zeroizing::new([0; 32]);
    loop {
        getrandom::fill(bytes.as_mut()).map_err(KeyFileError::Random)?;
        // Fails for fewer than one draw in 2^127.
        if let Ok(key) = SecretKey::from_bytes(&bytes) {
            return Ok(key);
        }
    }
}
