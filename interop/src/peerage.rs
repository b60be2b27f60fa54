//! Our own `peerage` command, built once and run in a namespace.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::netns::Netns;
use crate::process::{Process, text};

/// Names a binary to test instead of the one that is built here.
const OVERRIDE: &str = "PEERAGE_BIN";

/// A running `peerage run --json`, on loopback.
pub struct Peerage {
    process: Process,
    started: Value,
    /// Holds its key and whatever else it keeps.
    data: TempDir,
}

/// What a [`Peerage`] that has stopped left behind.
#[derive(Debug)]
pub struct Exit {
    /// Whether its exit code was 0.
    pub success: bool,
    /// The events that the test had not taken, in order, without `stopped`.
    pub events: Vec<Value>,
}

impl Peerage {
    /// Starts `peerage run` with `arguments` and a fresh key, and waits until it has started.
    ///
    /// # Panics
    /// If it cannot be built or started.
    pub fn run(net: &Netns, arguments: &[&str]) -> Self {
        let data = TempDir::new().expect("because there is a place for temporary files");
        Self::start(net, data, "127.0.0.1:0", arguments)
    }

    /// [`run`](Self::run), but at this address of the namespace.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_at(net: &Netns, listen: &str, arguments: &[&str]) -> Self {
        let data = TempDir::new().expect("because there is a place for temporary files");
        Self::start(net, data, listen, arguments)
    }

    /// [`run`](Self::run), with this secret key of 64 hex digits.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_with_key(net: &Netns, key: &str, arguments: &[&str]) -> Self {
        Self::run_with_key_at(net, key, "127.0.0.1:0", arguments)
    }

    /// [`run_with_key`](Self::run_with_key), but at this address of the namespace.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_with_key_at(net: &Netns, key: &str, listen: &str, arguments: &[&str]) -> Self {
        let data = TempDir::new().expect("because there is a place for temporary files");
        // `peerage` refuses a key that others can read.
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create_new(true).mode(0o600).open(data.path().join("nodekey"));
        let written = file.and_then(|mut file| file.write_all(key.as_bytes()));
        written.expect("because the folder is new");
        Self::start(net, data, listen, arguments)
    }

    /// Stops it as an operator does, and starts it again where it was, with what it has kept.
    ///
    /// # Panics
    /// If it does not stop, or cannot be started.
    pub fn restart(self, net: &Netns, arguments: &[&str]) -> Self {
        let address = self.discovery().to_string();
        let (data, _) = self.end();
        Self::start(net, data, &address, arguments)
    }

    fn start(net: &Netns, data: TempDir, listen: &str, arguments: &[&str]) -> Self {
        let mut command = net.command(binary());
        command.args(["run", "--json", "--listen", listen, "--data-dir"]).arg(data.path());
        command.args(arguments);
        let mut process = Process::spawn(net, "peerage", &mut command);
        let started = process.event("started");
        Self { process, started, data }
    }

    /// Where it listens.
    pub fn enode(&self) -> String {
        text(&self.started["enode"]).to_owned()
    }

    /// Who it is.
    pub fn id(&self) -> String {
        text(&self.started["id"]).to_owned()
    }

    /// Its process, as the system numbers it: the command that starts it replaces itself with it.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its record, as it was when it started.
    pub fn enr(&self) -> String {
        text(&self.started["enr"]).to_owned()
    }

    /// Where it takes the datagrams of discovery.
    ///
    /// # Panics
    /// If it takes none.
    pub fn discovery(&self) -> SocketAddr {
        let address = text(&self.started["discovery"]).parse();
        address.expect("because it is an address")
    }

    /// What its table of nodes is now: the event `table`.
    ///
    /// # Panics
    /// If it does not tell.
    pub fn table(&mut self) -> Value {
        self.process.signal("USR1");
        self.process.event("table")
    }

    /// [`Process::event`].
    pub fn event(&mut self, name: &str) -> Value {
        self.process.event(name)
    }

    /// Whether it has said such an event, and nobody has taken it.
    pub fn has_said(&self, name: &str) -> bool {
        self.process.untaken().iter().any(|event| event["event"] == name)
    }

    /// [`Process::expect`].
    pub fn expect(&mut self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        self.process.expect(what, matches)
    }

    /// Stops it as an operator does, and waits until it has ended.
    ///
    /// # Panics
    /// If it does not stop.
    pub fn stop(self) -> Exit {
        self.end().1
    }

    fn end(mut self) -> (TempDir, Exit) {
        self.process.signal("TERM");
        self.process.event("stopped");
        let (status, events) = self.process.finish();
        (self.data, Exit { success: status.success(), events })
    }

    /// What `peerage` prints with `--json`, one object a line, for a command that ends by itself;
    /// and whether its exit code is 0.
    ///
    /// # Panics
    /// If it cannot be run, or prints something else.
    pub fn lines(net: &Netns, arguments: &[&str]) -> (Vec<Value>, bool) {
        let output = net.command(binary()).args(arguments).output().expect("because it was built");
        let lines: Result<Vec<Value>, _> =
            serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect();
        let lines = lines.unwrap_or_else(|error| {
            panic!("`peerage {arguments:?}` printed no JSON ({error}): {output:?}")
        });
        (lines, output.status.success())
    }

    /// What `peerage` prints, as one JSON object, for a command that ends by itself; and whether
    /// its exit code is 0.
    ///
    /// # Panics
    /// If it cannot be run, or does not print just one object.
    pub fn once(net: &Netns, arguments: &[&str]) -> (Value, bool) {
        let output = net.command(binary()).args(arguments).output().expect("because it was built");
        let json = serde_json::from_slice(&output.stdout);
        let json = json.unwrap_or_else(|error| {
            panic!("`peerage {arguments:?}` printed no JSON ({error}): {output:?}")
        });
        (json, output.status.success())
    }

    /// The sequence number of a record, by `peerage enr decode`.
    ///
    /// # Panics
    /// If it is no record.
    pub fn sequence(net: &Netns, record: &str) -> u64 {
        let (decoded, success) = Self::once(net, &["enr", "decode", "--json", record]);
        assert!(success, "{decoded}");
        decoded["seq"].as_u64().expect("because every record has one")
    }
}

/// The binary, built when the first test asks: a test crate cannot depend on another crate's
/// binary. It goes where the running test went, with the same profile, so that most of it is there
/// already.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os(OVERRIDE).map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    // .../target/debug/deps/ethereumjs-0123456789abcdef
    let test = std::env::current_exe().expect("because the system knows what it runs");
    let profile =
        test.ancestors().nth(2).expect("because cargo put it into a directory of the profile");
    let target = profile.parent().expect("because the profile lies in the target directory");
    let profile = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };

    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["build", "--package", "peerage-cli", "--bin", "peerage", "--profile", profile]);
    command.args(["--message-format", "json-render-diagnostics", "--target-dir"]).arg(target);
    let output = command.output().expect("because cargo runs this test");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "peerage cannot be built:\n{errors}");
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let executable = messages
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.expect("because cargo names what it has built")
}
