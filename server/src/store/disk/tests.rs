mod kill;
mod power;

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use peerage_node::SecretKey;

use super::*;

const NOW: Duration = Duration::from_secs(1_700_000_000);

fn node(n: u32) -> Node {
    let mut bytes = [1; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    let [_, a, b, c] = n.to_be_bytes();
    let ip = IpAddr::from([50 + a, b, c, 1]);
    let key = SecretKey::from_bytes(&bytes).unwrap();
    Node::from_endpoint(*key.public(), SocketAddr::new(ip, 30303), None)
}

/// Batch `n`: a few nodes that were met, and `n` as the sequence number of our record.
fn batch(n: u32) -> Vec<StoreOp> {
    let nodes = nodes_of_batch(n).flat_map(|node| {
        let ip = node.udp_endpoints()[0].ip();
        let pong = StoreOp::Pong { id: node.id(), ip, unix: NOW };
        [StoreOp::Record(node.into()), pong]
    });
    nodes.chain([StoreOp::Seq(n.into())]).collect()
}

fn nodes_of_batch(n: u32) -> impl Iterator<Item = Node> {
    (0..4).map(move |i| node(4 * n + i))
}

/// The number of the last batch in the store, after a look at whether each until then is there, and
/// nothing of a later one.
fn batches(store: &dyn NodeStore) -> Option<u32> {
    let last = store.local_seq().unwrap().map(|seq| u32::try_from(seq).unwrap());
    let count = last.map_or(0, |last| last + 1);
    assert_eq!(store.len().unwrap(), 4 * count as usize);
    for node in (0..count).flat_map(nodes_of_batch) {
        let known = store.known(&node.id()).unwrap().expect("a node of a batch that was written");
        assert_eq!(known.contacts[0].last_pong, Some(NOW));
        assert_eq!(known.node, Some(node));
    }
    last
}

/// A store with three batches and two nodes on lists, closed.
fn written(dir: &Path) -> PathBuf {
    let (mut store, warning) = RedbStore::open(dir).unwrap();
    assert!(warning.is_none());
    for n in 0..3 {
        store.apply(NOW, &batch(n)).unwrap();
    }
    store.add_listed(List::Static, &node(900)).unwrap();
    store.add_listed(List::Trusted, &node(901)).unwrap();
    store.path().to_path_buf()
}

fn is_whole(store: &RedbStore) -> bool {
    store.local_seq().unwrap() == Some(2)
        && batches(store) == Some(2)
        && store.listed(List::Static).unwrap() == [node(900)]
        && store.listed(List::Trusted).unwrap() == [node(901)]
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    let (store, warning) = RedbStore::open(dir.path()).unwrap();
    assert!(warning.is_none());
    assert!(is_whole(&store));
    assert_eq!(names(dir.path()), ["nodes.redb"]);
}

#[test]
fn a_file_that_is_open_already_is_named_in_the_error_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = RedbStore::open(dir.path()).unwrap();
    let error = RedbStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains("nodes.redb is in use by another process"), "{error}");
    assert_eq!(names(dir.path()), ["nodes.redb"]);
    drop(store);
    assert!(RedbStore::open(dir.path()).unwrap().1.is_none());
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = RedbStore::open(&dir.path().join("missing")).unwrap_err();
    assert!(matches!(error, StoreError::Failed { .. }), "{error:?}");
}

#[test]
fn a_damaged_file_is_set_aside_with_a_warning_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(RedbStore::FILE);
    for n in 1..=10 {
        fs::write(&path, format!("not a database {n}")).unwrap();
        let (mut store, warning) = RedbStore::open(dir.path()).unwrap();
        let warning = warning.unwrap().to_string();
        let aside = format!("nodes.redb.damaged-{}", n.min(9));
        assert!(warning.contains("nodes.redb is damaged"), "{warning}");
        assert!(warning.contains(&aside), "{warning}");
        let kept = fs::read_to_string(dir.path().join(aside)).unwrap();
        assert_eq!(kept, format!("not a database {n}"));
        // The new one is as good as any.
        assert_eq!(batches(&store), None);
        store.apply(NOW, &batch(0)).unwrap();
        assert_eq!(batches(&store), Some(0));
    }
    // The tenth took the place of the ninth.
    assert_eq!(names(dir.path()).len(), 1 + 9);
    assert!(RedbStore::open(dir.path()).unwrap().1.is_none());
}

#[test]
fn an_empty_file_is_a_damaged_one_too() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(RedbStore::FILE), "").unwrap();
    let (store, warning) = RedbStore::open(dir.path()).unwrap();
    assert!(matches!(warning, Some(Warning::Damaged { .. })), "{warning:?}");
    assert_eq!(batches(&store), None);
}

#[test]
fn whatever_is_done_to_the_file_it_is_whole_or_set_aside() {
    let source = tempfile::tempdir().unwrap();
    let whole = fs::read(written(source.path())).unwrap();
    let mut random = Random::from_seed([3; 32]);
    let mut below = |bound: usize| usize::try_from(random.below(bound as u64)).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut set_aside = 0;
    for round in 0..60 {
        let mut bytes = whole.clone();
        match round % 4 {
            0 => bytes.truncate(below(whole.len())),
            // In the header, which says where everything is.
            1 => bytes[below(512)] ^= 1 << below(8),
            2 => {
                for _ in 0..40 {
                    bytes[below(used)] ^= 1 << below(8);
                }
            }
            // A page that was never written, or lost.
            _ => bytes[below(used) & !0xfff..][..0x1000].fill(0),
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(RedbStore::FILE), &bytes).unwrap();
        let (mut store, warning) =
            RedbStore::open(dir.path()).unwrap_or_else(|error| panic!("round {round}: {error}"));
        if let Some(warning) = warning {
            set_aside += 1;
            assert_eq!(batches(&store), None, "round {round}: {warning}");
        } else {
            // Where nothing stood, or nothing that counts; or a commit was undone as a whole.
            assert!(batches(&store) <= Some(2), "round {round}");
        }
        let next = batches(&store).map_or(0, |last| last + 1);
        store.apply(NOW, &batch(next)).unwrap();
        assert_eq!(batches(&store), Some(next), "round {round}");
    }
    assert!(set_aside > 20, "{set_aside}");
}

#[test]
fn another_format_is_set_aside_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    let database = Database::open(&path).unwrap();
    transact(&database, |transaction| {
        transaction.open_table(tables::META)?.insert(tables::FORMAT, 2)?;
        Ok(())
    })
    .unwrap();
    drop(database);
    let (store, warning) = RedbStore::open(dir.path()).unwrap();
    let warning = warning.unwrap();
    assert!(matches!(warning, Warning::Format { found: 2, expected: 1, .. }), "{warning:?}");
    assert_eq!(batches(&store), None);
    assert_eq!(names(dir.path()), ["nodes.redb", "nodes.redb.damaged-1"]);
}

type Change = fn(&redb::WriteTransaction, NodeId) -> Result<(), Fault>;

#[test]
fn tables_that_do_not_fit_together_are_damage() {
    let id = node(0).id();
    let changes: [Change; 3] = [
        // A row without its rank.
        |transaction, id| {
            let mut tables = Tables::write(transaction)?;
            let rank = tables.row(&id)?.unwrap().rank(id);
            tables.remove_rank(rank)
        },
        // A row that is none.
        |transaction, id| Tables::write(transaction)?.set_bytes(&id, &[1, 2, 3]),
        // Text that is no node.
        |transaction, id| {
            transaction.open_table(table_of(List::Static))?.insert(&id.0, "somebody")?;
            Ok(())
        },
    ];
    for change in changes {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(written(dir.path())).unwrap();
        transact(&database, |transaction| change(transaction, id)).unwrap();
        drop(database);
        let (_, warning) = RedbStore::open(dir.path()).unwrap();
        assert!(matches!(warning, Some(Warning::Damaged { .. })), "{warning:?}");
    }
}

#[test]
fn a_half_made_file_of_a_killed_start_is_made_anew_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    // As redb leaves it before it knows that the file is good: room, and no magic number.
    fs::write(dir.path().join("nodes.redb.new"), [0; 100_000]).unwrap();
    let (store, warning) = RedbStore::open(dir.path()).unwrap();
    assert!(warning.is_none());
    assert_eq!(batches(&store), None);
    assert_eq!(names(dir.path()), ["nodes.redb"]);
}

#[test]
fn a_transaction_that_fails_leaves_nothing_and_the_next_one_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = RedbStore::open(dir.path()).unwrap();
    store.apply(NOW, &batch(0)).unwrap();
    let bounds = store.bounds;
    let error = store.write(|transaction| {
        rows::apply(&mut Tables::write(transaction)?, &bounds, NOW, &batch(1))?;
        Err::<(), _>(Fault::from(redb::Error::Io(std::io::ErrorKind::StorageFull.into())))
    });
    assert!(matches!(error, Err(StoreError::Failed { .. })), "{error:?}");
    assert!(store.local_seq().is_err());
    store.apply(NOW, &batch(1)).unwrap();
    assert_eq!(batches(&store), Some(1));
}

#[test]
fn the_file_does_not_grow_with_what_passes_through_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut bounds = Bounds::default();
    bounds.nodes = 200;
    let (mut store, _) = RedbStore::open_with(dir.path(), bounds).unwrap();
    let size = |store: &RedbStore| fs::metadata(store.path()).unwrap().len();
    let mut flood = |n: u32| {
        let ops: Vec<_> = (50 * n..50 * (n + 1)).flat_map(batch).collect();
        store.apply(NOW, &ops).unwrap();
        assert_eq!(store.len().unwrap(), 200);
        size(&store)
    };
    let first = (0..5).map(&mut flood).max().unwrap();
    let last = (5..40).map(&mut flood).max().unwrap();
    // 8,000 nodes passed through, 1,000 of them before.
    assert!(last <= first.max(2 << 20), "{first} bytes grew to {last}");
}
