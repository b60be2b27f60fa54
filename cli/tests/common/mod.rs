//! The real binary, driven as an operator or a program drives it.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// The command with these arguments, in no terminal and with no home directory.
pub(crate) fn command(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peerage"));
    command.args(args).stdin(Stdio::null()).env_remove("HOME").env_remove("XDG_DATA_HOME");
    command
}

/// Runs it to its end.
pub(crate) fn run(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    command(args).output().unwrap()
}

/// Its standard output, after success.
pub(crate) fn stdout(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let output = run(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The JSON values that it prints, one on each line, after success.
pub(crate) fn json_lines(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Vec<Value> {
    stdout(args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `peerage run --json`, on a free port of loopback. Killed when dropped.
pub(crate) struct Node {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Its `started` event.
    pub(crate) started: Value,
}

impl Node {
    /// Runs a node that keeps its state in `dir`.
    pub(crate) fn start<'a>(dir: &'a Path, args: impl IntoIterator<Item = &'a str>) -> Self {
        let mut child = command(["run", "--json", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut node = Self { child, lines, started: Value::Null };
        node.started = node.next_event().expect("because a node that runs says so");
        assert_eq!(node.started["event"], "started");
        node
    }

    /// The next event; `None` once the process has closed its output.
    pub(crate) fn next_event(&mut self) -> Option<Value> {
        self.lines.next().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
    }

    /// The next event of this kind; those before it are dropped.
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next_event().unwrap_or_else(|| panic!("no {kind} event came"));
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Its enode URL.
    pub(crate) fn enode(&self) -> String {
        self.started["enode"].as_str().unwrap().into()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits for its end; the events that were still to be read, and its exit status.
    pub(crate) fn finish(mut self) -> (Vec<Value>, ExitStatus) {
        let mut events = Vec::new();
        while let Some(event) = self.next_event() {
            events.push(event);
        }
        (events, self.child.wait().unwrap())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running node with the folder of its key.
pub(crate) struct Server {
    pub(crate) node: Node,
    _dir: TempDir,
}

impl Server {
    /// Runs a node that is told of nobody.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { node: Node::start(dir.path(), []), _dir: dir }
    }

    /// As others are told of it.
    pub(crate) fn address(&self) -> peerage_node::Node {
        self.node.enode().parse().unwrap()
    }
}
