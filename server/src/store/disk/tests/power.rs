//! A power cut: of what was written since the last flush, any part may be on the disk, in any
//! order.

use std::{
    io,
    sync::{Arc, Mutex},
};

use redb::StorageBackend;

use super::{super::open, *};

/// A disk with a cache that is lost.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    /// What a program sees.
    seen: Vec<u8>,
    /// What is on the disk for sure.
    safe: Vec<u8>,
    /// What was done since.
    unsafe_writes: Vec<Write>,
    /// Flushes until the power goes.
    left: usize,
}

#[derive(Clone, Debug)]
enum Write {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

impl Write {
    fn on(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bytes(at, data) => {
                bytes.resize(bytes.len().max(at + data.len()), 0);
                bytes[*at..][..data.len()].copy_from_slice(data);
            }
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }
}

impl Disk {
    fn holding(bytes: Vec<u8>, left: usize) -> Self {
        let contents =
            Contents { seen: bytes.clone(), safe: bytes, unsafe_writes: Vec::new(), left };
        Self(Arc::new(Mutex::new(contents)))
    }

    fn write(&self, write: Write) -> io::Result<()> {
        let mut contents = self.0.lock().unwrap();
        if contents.left == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        write.on(&mut contents.seen);
        contents.unsafe_writes.push(write);
        Ok(())
    }

    /// What is on the disk when the power is back: of the last writes, those that chance says, and
    /// sectors of 512 bytes of others.
    fn after_the_cut(&self, random: &mut Random) -> Vec<u8> {
        let contents = self.0.lock().unwrap();
        let mut bytes = contents.safe.clone();
        let mut writes = contents.unsafe_writes.clone();
        // Any order.
        for i in (1..writes.len()).rev() {
            writes.swap(i, usize::try_from(random.below(i as u64 + 1)).unwrap());
        }
        for write in writes {
            match (random.below(3), write) {
                (0, _) => {}
                (1, Write::Bytes(at, data)) => {
                    for (i, sector) in data.chunks(512).enumerate() {
                        if random.below(2) == 0 {
                            Write::Bytes(at + 512 * i, sector.to_vec()).on(&mut bytes);
                        }
                    }
                }
                // A file system writes lengths in their order.
                (_, Write::Length(length)) => bytes.resize(bytes.len().max(length), 0),
                (_, write) => write.on(&mut bytes),
            }
        }
        bytes
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let contents = self.0.lock().unwrap();
        let from = contents.seen.get(usize::try_from(offset).unwrap()..).unwrap_or(&[]);
        let from = from.get(..out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(from);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write(Write::Length(usize::try_from(len).unwrap()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut contents = self.0.lock().unwrap();
        contents.left = contents.left.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
        if contents.left == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        contents.safe = contents.seen.clone();
        contents.unsafe_writes.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        Disk::write(self, Write::Bytes(usize::try_from(offset).unwrap(), data.to_vec()))
    }
}

/// A store on a disk of its own. Never opened again by its path.
fn store_on(disk: Disk) -> Result<RedbStore, Fault> {
    let database = open::on_backend(disk)?;
    Ok(RedbStore { path: "disk".into(), bounds: Bounds::default(), state: State::Open(database) })
}

#[test]
fn what_was_committed_outlives_a_power_cut_at_any_flush() {
    let dir = tempfile::tempdir().unwrap();
    let start = fs::read(RedbStore::open(dir.path()).unwrap().0.path()).unwrap();
    drop(dir);
    let mut random = Random::from_seed([5; 32]);
    let (mut bytes, mut next) = (start, 0);
    for round in 0..150 {
        // Opening takes some flushes too, and is cut short as well.
        let disk = Disk::holding(bytes, 1 + usize::try_from(random.below(16)).unwrap());
        if let Ok(mut store) = store_on(disk.clone()) {
            let there = batches(&store).map_or(0, |last| last + 1);
            assert!(there == next || there == next + 1, "round {round}: {next}, {there} there");
            next = there;
            while store.apply(NOW, &batch(next)).is_ok() {
                next += 1;
            }
        }
        bytes = disk.after_the_cut(&mut random);
    }
    let store = store_on(Disk::holding(bytes, usize::MAX)).unwrap();
    let there = batches(&store).map_or(0, |last| last + 1);
    assert!(there == next || there == next + 1, "{next}, {there} there");
    assert!(next > 100, "{next}");
}
