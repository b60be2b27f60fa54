//! A child process in a namespace that takes commands and tells events, one JSON object a line.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::netns::Netns;

/// How long a test waits for one event before it fails. Only a failing test ever waits this long:
/// it is many times what the slowest step takes (Python starting on a loaded machine, a few
/// seconds).
const DEADLINE: Duration = Duration::from_secs(60);

/// As much of what a process wrote as a failing test shows, in lines.
const SHOWN_LINES: usize = 60;

/// The text of a field of an event.
///
/// # Panics
/// If it is no text.
pub fn text(field: &Value) -> &str {
    field.as_str().unwrap_or_else(|| panic!("no text: {field}"))
}

/// Asks again and again until it is so: for what nobody tells by itself.
///
/// # Panics
/// If it is not so a minute later.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in {DEADLINE:?}: {what}");
    }
}

/// A running child. Dropping it kills it.
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Arc<Mutex<String>>,
    /// Events that arrived before somebody asked for them.
    waiting: Vec<Value>,
    transcript: Vec<String>,
    /// Keeps the namespace for as long as the process runs.
    _net: Netns,
}

impl Process {
    /// Starts `command`, which [`Netns::command`] has made; `name` stands in the messages of
    /// failing tests.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(net: &Netns, name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("because it is piped");
        let mut errors = child.stderr.take().expect("because it is piped");

        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&stderr);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = errors.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                sink.lock().expect("because no holder panics").push_str(&text);
            }
        });

        let (waiting, transcript) = (Vec::new(), Vec::new());
        Self {
            name: name.to_owned(),
            child,
            stdin,
            lines,
            stderr,
            waiting,
            transcript,
            _net: net.clone(),
        }
    }

    /// Writes one command.
    ///
    /// # Panics
    /// If the process no longer reads.
    pub fn command(&mut self, command: &Value) {
        let stdin = self.stdin.as_mut().expect("because only `finish` closes it");
        let written = writeln!(stdin, "{command}").and_then(|()| stdin.flush());
        if let Err(error) = written {
            self.fail(&format!("takes no command: {error}"));
        }
    }

    /// The first event, of those not yet taken, that `matches`. Waits for it; what comes in between
    /// is kept for later calls, so the order in which a test asks need not be the order in which
    /// things happen.
    ///
    /// # Panics
    /// If the process ends or a minute passes first; the message shows what it said.
    pub fn expect(&mut self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.waiting.iter().position(&matches) {
            return self.waiting.remove(index);
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.read(deadline) {
                Ok(event) if matches(&event) => return event,
                Ok(event) => self.waiting.push(event),
                Err(RecvTimeoutError::Timeout) => {
                    self.fail(&format!("said nothing of {what} in {DEADLINE:?}"))
                }
                Err(RecvTimeoutError::Disconnected) => self.fail(&format!("ended without {what}")),
            }
        }
    }

    /// The next event whose `event` field is `name`.
    ///
    /// # Panics
    /// As [`expect`](Self::expect).
    pub fn event(&mut self, name: &str) -> Value {
        self.expect(name, |event| event["event"] == name)
    }

    /// The events that have come, and that nobody has taken yet.
    pub fn untaken(&self) -> &[Value] {
        &self.waiting
    }

    /// As the system numbers it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal (`TERM`, `INT`).
    ///
    /// # Panics
    /// If there is no `kill` command.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "{} cannot be signalled", self.name);
    }

    /// Closes its standard input, and waits for its end: how it ended, and all events that nobody
    /// took.
    ///
    /// # Panics
    /// If it is still there a minute later.
    pub fn finish(mut self) -> (ExitStatus, Vec<Value>) {
        self.stdin = None;
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.read(deadline) {
                Ok(event) => self.waiting.push(event),
                Err(RecvTimeoutError::Timeout) => {
                    self.fail(&format!("did not end in {DEADLINE:?}"))
                }
                // Its standard output is closed: it has ended, or is about to.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = self.child.wait().expect("because it was started");
        (status, std::mem::take(&mut self.waiting))
    }

    fn read(&mut self, deadline: Instant) -> Result<Value, RecvTimeoutError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = self.lines.recv_timeout(left)?;
        let parsed = serde_json::from_str::<Value>(&line);
        self.transcript.push(line);
        match parsed {
            Ok(event) if event["event"].is_string() => Ok(event),
            Ok(_) | Err(_) => self.fail("wrote a line that is no event"),
        }
    }

    fn fail(&self, what: &str) -> ! {
        let skipped = self.transcript.len().saturating_sub(SHOWN_LINES);
        let said = self.transcript[skipped..].join("\n");
        let stderr = self.stderr.lock().expect("because no holder panics");
        let lines: Vec<_> = stderr.lines().collect();
        let errors = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        panic!("{} {what}\n-- its events:\n{said}\n-- its standard error:\n{errors}", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use serde_json::json;

    use super::*;

    /// `cat` tells every command back as an event.
    fn cat() -> Option<Process> {
        let net = Netns::for_test(&[])?;
        Some(Process::spawn(&net, "cat", &mut net.command("cat")))
    }

    #[test]
    fn events_can_be_taken_in_another_order_than_they_came() {
        let Some(mut cat) = cat() else { return };
        cat.command(&json!({"event": "first", "n": 1}));
        cat.command(&json!({"event": "second"}));
        cat.command(&json!({"event": "first", "n": 2}));
        cat.event("second");
        assert_eq!(cat.event("first")["n"], 1);
        let (status, left) = cat.finish();
        assert!(status.success());
        assert_eq!(left, [json!({"event": "first", "n": 2})]);
    }

    #[test]
    fn a_failure_shows_what_the_process_said() {
        let Some(net) = Netns::for_test(&[]) else { return };
        let script = r#"echo '{"event": "hello"}'; echo alas >&2"#;
        let mut shell = Process::spawn(&net, "shell", net.command("sh").args(["-c", script]));
        let panic = catch_unwind(AssertUnwindSafe(|| shell.event("goodbye"))).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.starts_with("shell ended without goodbye"), "{message}");
        assert!(message.contains(r#"{"event": "hello"}"#), "{message}");
    }

    #[test]
    fn a_line_that_is_no_event_fails_the_test() {
        let Some(mut cat) = cat() else { return };
        cat.command(&json!(["no", "object"]));
        let panic = catch_unwind(AssertUnwindSafe(|| cat.event("hello"))).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.starts_with("cat wrote a line that is no event"), "{message}");
    }
}
