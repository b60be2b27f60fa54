//! Opening the file: made so that a crash leaves a whole one or none, checked, and set aside if it
//! is damaged.

use std::{
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{Builder, Database, ReadableDatabase as _};

use super::{
    super::{List, StoreError, Warning},
    tables::{FORMAT, Fault, META, Tables, listed, table_of},
    transact,
};

/// The format of the file: of its tables and of the rows in them.
const EXPECTED: u64 = 1;

/// How much of the file is kept in memory: the upper levels of its trees. Rows are read seldom.
const CACHE: usize = 1 << 20;

/// At most how many damaged files are kept: a disk that damages one a day should not fill up.
const ASIDE: u32 = 9;

/// What is wrong with a file.
enum Wrong {
    Damaged(Fault),
    Format(u64),
    /// Not the file, but the disk, or who may use it.
    Unusable(Fault),
}

/// A panic of redb's, which trusts what it wrote.
#[derive(Debug, thiserror::Error)]
#[error("reading it failed an assertion")]
struct Panicked;

/// The database at `path`, or a new one in its place.
pub(super) fn open_or_create(path: &Path) -> Result<(Database, Option<Warning>), StoreError> {
    let failed = |error| Fault::Database(redb::Error::Io(error)).at(path);
    if !path.try_exists().map_err(failed)? {
        return create(path).map(|database| (database, None));
    }
    let wrong = match open_checked(path) {
        Ok(database) => return Ok((database, None)),
        Err(Wrong::Unusable(fault)) => return Err(fault.at(path)),
        Err(wrong) => wrong,
    };
    let aside = set_aside(path).map_err(failed)?;
    let path_was = path.to_path_buf();
    let warning = match wrong {
        Wrong::Format(found) => {
            Warning::Format { path: path_was, aside, found, expected: EXPECTED }
        }
        Wrong::Damaged(fault) | Wrong::Unusable(fault) => {
            Warning::Damaged { path: path_was, aside, source: Box::new(fault) }
        }
    };
    create(path).map(|database| (database, Some(warning)))
}

/// Opens a database that this process had open when a transaction failed.
pub(super) fn open_again(path: &Path) -> Result<Database, StoreError> {
    open_checked(path).map_err(|wrong| match wrong {
        Wrong::Damaged(fault) | Wrong::Unusable(fault) => fault.at(path),
        Wrong::Format(_) => Fault::Row.at(path),
    })
}

/// Opens and checks a file, every page and row of it.
///
/// # Security
///
/// redb may panic at bytes it did not write; such a file is damaged, no more.
fn open_checked(path: &Path) -> Result<Database, Wrong> {
    let open = || {
        let database = builder().open(path).map_err(|error| Wrong::of(error.into()))?;
        let format = check(&database).map_err(Wrong::of)?;
        if format == EXPECTED { Ok(database) } else { Err(Wrong::Format(format)) }
    };
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| {
        let panicked = io::Error::new(io::ErrorKind::InvalidData, Panicked);
        Err(Wrong::Damaged(Fault::Database(redb::Error::Io(panicked))))
    })
}

/// Reads everything, if the format is ours. Returns the format.
fn check(database: &Database) -> Result<u64, Fault> {
    let transaction = database.begin_read()?;
    let format = transaction.open_table(META)?.get(FORMAT)?.ok_or(Fault::Row)?.value();
    if format == EXPECTED {
        Tables::read(&transaction)?.check()?;
        for list in List::ALL {
            listed(&transaction.open_table(table_of(list))?)?;
        }
    }
    Ok(format)
}

/// Makes an empty database. It is made beside `path` and renamed: killed at any moment, this leaves
/// no half-made file at `path`.
fn create(path: &Path) -> Result<Database, StoreError> {
    let beside = path.with_extension("redb.new");
    let make = || -> Result<Database, Fault> {
        let database = match builder().create(&beside).map_err(Fault::from) {
            Err(fault) if fault.is_damage() => {
                // Left by a process that was killed here.
                fs::remove_file(&beside).map_err(redb::Error::Io)?;
                builder().create(&beside)?
            }
            other => other?,
        };
        transact(&database, |transaction| {
            Tables::write(transaction)?;
            for list in List::ALL {
                transaction.open_table(table_of(list))?;
            }
            transaction.open_table(META)?.insert(FORMAT, EXPECTED)?;
            Ok(())
        })?;
        fs::rename(&beside, path).and_then(|()| sync_parent(path)).map_err(redb::Error::Io)?;
        Ok(database)
    };
    make().map_err(|fault| fault.at(path))
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder
}

/// Renames the file, so that its user can look at it. Returns where it is now.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = |n| path.with_extension(format!("redb.damaged-{n}"));
    let mut n = 1;
    while n < ASIDE && name(n).try_exists()? {
        n += 1;
    }
    fs::rename(path, name(n))?;
    sync_parent(path)?;
    Ok(name(n))
}

/// Makes names in the directory of `path` last.
fn sync_parent(path: &Path) -> io::Result<()> {
    // Other systems do not open directories, and keep names in order by themselves.
    if cfg!(unix) {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

impl Wrong {
    fn of(fault: Fault) -> Self {
        if fault.is_damage() { Self::Damaged(fault) } else { Self::Unusable(fault) }
    }
}

/// The database on a disk that is made for a test, checked.
#[cfg(test)]
pub(super) fn on_backend(backend: impl redb::StorageBackend) -> Result<Database, Fault> {
    let database = builder().create_with_backend(backend)?;
    check(&database)?;
    Ok(database)
}
