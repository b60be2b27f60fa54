//! `kill -9`: this test program starts itself as another process, which writes until it is killed.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use super::*;

/// Names the directory to a child, and makes a test be one.
const CHILD: &str = "PEERAGE_STORE_TEST_CHILD";
/// What a child says once a batch is written, before its number.
const WRITTEN: &str = "written ";

/// Not a test, but the process that is killed: writes one batch after the other.
#[test]
fn child() {
    #[expect(clippy::disallowed_methods, reason = "the test runs itself as a child")]
    let Some(dir) = env::var_os(CHILD) else { return };
    let (mut store, warning) = RedbStore::open(Path::new(&dir)).unwrap();
    assert!(warning.is_none(), "{warning:?}");
    let mut out = std::io::stdout();
    for n in batches(&store).map_or(0, |last| last + 1).. {
        store.apply(NOW, &batch(n)).unwrap();
        // In one write, so that no number is cut short.
        out.write_all(format!("{WRITTEN}{n}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

fn start(dir: &Path) -> (Child, BufReader<ChildStdout>) {
    let test = concat!(module_path!(), "::child");
    let test = test.split_once("::").expect("a crate name").1;
    let mut child = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// The numbers that a child says; its test harness says other things.
fn numbers(out: &mut BufReader<ChildStdout>) -> impl Iterator<Item = u32> {
    out.lines().filter_map(|line| line.unwrap().strip_prefix(WRITTEN)?.parse().ok())
}

#[test]
fn what_was_said_to_be_written_outlives_kill_9_and_nothing_is_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut next = 0;
    for round in 0..20 {
        let (mut child, mut out) = start(dir.path());
        // A number of batches that differs, 0 too: killed while it opens the file, or makes it.
        let count = round * 7 % 10;
        let mut said = numbers(&mut out).take(count).last();
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said between the last line that was read and its end.
        said = numbers(&mut out).last().or(said);
        if let Some(said) = said {
            assert!(said >= next, "round {round} wrote nothing new");
            next = said + 1;
        }

        let (store, warning) = RedbStore::open(dir.path()).unwrap();
        assert!(warning.is_none(), "round {round}: {warning:?}");
        let there = batches(&store).map_or(0, |last| last + 1);
        // One more may have been written and not said.
        assert!(there == next || there == next + 1, "round {round}: {next} said, {there} there");
        next = there;
    }
    assert!(next > 50, "{next}");
    assert_eq!(names(dir.path()), ["nodes.redb"]);
}

#[test]
fn a_file_of_another_process_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, mut out) = start(dir.path());
    assert_eq!(numbers(&mut out).next(), Some(0));
    let error = RedbStore::open(dir.path());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(error, Err(StoreError::Locked { .. })), "{error:?}");
    assert!(RedbStore::open(dir.path()).unwrap().1.is_none());
}
