//! A network namespace that has only loopback: nothing a foreign node dials can leave it, and every
//! port in it is free. Also the place where a test finds out whether it can run at all.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use crate::foreign::Implementation;

/// With the value `required`, a test that cannot run fails instead of being skipped.
const SWITCH: &str = "PEERAGE_INTEROP";

/// Where TUN devices come from, of which a link has one at each end.
const TUN: &str = "/dev/net/tun";

/// A namespace of this test's own. It lives as long as any of its clones; then everything that
/// still runs in it is killed, and it is deleted.
#[derive(Clone, Debug)]
pub struct Netns(Arc<Guard>);

impl Netns {
    /// A fresh namespace for a test that needs `implementations`, or `None` after one line that
    /// says what is missing.
    ///
    /// # Panics
    /// If something is missing although `PEERAGE_INTEROP=required`.
    pub fn for_test(implementations: &[Implementation]) -> Option<Self> {
        let missing = implementations.iter().copied().find(|one| !one.is_installed());
        match missing {
            Some(one) => skip(&format!("{one} is not installed; run interop/setup")),
            None => match Self::create() {
                Ok(net) => Some(net),
                Err(why) => skip(&format!("no network namespace can be made ({why})")),
            },
        }
    }

    /// Two namespaces for a test that puts a [`Link`](crate::Link) between them, or `None` after
    /// one line that says what is missing.
    ///
    /// # Panics
    /// If something is missing although `PEERAGE_INTEROP=required`.
    pub fn for_link() -> Option<[Self; 2]> {
        match File::options().read(true).write(true).open(TUN) {
            Ok(_) => Some([Self::for_test(&[])?, Self::for_test(&[])?]),
            Err(why) => skip(&format!("no link can be made ({TUN}: {why})")),
        }
    }

    /// A command that will run in this namespace, and be killed when the thread that starts it
    /// ends: a test that is itself killed leaves no node behind.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0.name, "setpriv", "--pdeathsig", "KILL", "--"]);
        command.arg(program);
        command
    }

    /// The name, as `ip netns` lists it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    fn create() -> Result<Self, &'static str> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static UNUSABLE: OnceLock<&'static str> = OnceLock::new();
        if let Some(why) = UNUSABLE.get() {
            return Err(why);
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("peerage-{}-{number}", std::process::id());
        // From here on the guard deletes what was made, whatever fails.
        let net = Self(Arc::new(Guard { name }));
        let name = net.name();
        let why = if !succeeds(Command::new("setpriv").arg("--version")) {
            "`setpriv` of util-linux is missing"
        } else if !succeeds(Command::new("ip").args(["netns", "add", name])) {
            "`ip netns add` needs iproute2 and the right to administer the network"
        } else if !succeeds(Command::new("ip").args(["-n", name, "link", "set", "lo", "up"])) {
            "`ip link set lo up` failed"
        } else {
            return Ok(net);
        };
        Err(UNUSABLE.get_or_init(|| why))
    }
}

/// Says why a test does not run, or fails where each has to.
fn skip<T>(why: &str) -> Option<T> {
    let required = std::env::var_os(SWITCH).is_some_and(|value| value == "required");
    assert!(!required, "{SWITCH}=required, but {why}");
    // Straight to the handle: the test runner would swallow what a passing test prints.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
    None
}

#[derive(Debug)]
struct Guard {
    name: String,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Every failure here means that there is nothing to clean up.
        let listed =
            Command::new("ip").args(["netns", "pids", &self.name]).stderr(Stdio::null()).output();
        if let Ok(listed) = listed {
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            for pid in listed.split_whitespace() {
                succeeds(Command::new("kill").args(["-s", "KILL", pid]));
            }
        }
        succeeds(Command::new("ip").args(["netns", "del", &self.name]));
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_namespace_has_loopback_and_nothing_else() {
        let Some(net) = Netns::for_test(&[]) else { return };
        let output = net.command("ip").args(["-oneline", "link"]).output().unwrap();
        let links = String::from_utf8(output.stdout).unwrap();
        assert_eq!(links.lines().count(), 1, "{links}");
        assert!(links.contains("lo: <LOOPBACK,UP"), "{links}");
        let output = net.command("ip").args(["route"]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "there is a way out");
    }

    #[test]
    fn the_end_of_a_namespace_kills_what_runs_in_it_and_deletes_it() {
        let Some(net) = Netns::for_test(&[]) else { return };
        let name = net.name().to_owned();
        let mut command = net.command("cat");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // `cat` never ends by itself: its standard input stays open. Once it answers, it is in the
        // namespace.
        let mut open = child.stdin.take().unwrap();
        open.write_all(b"ready").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
        drop(net);
        let status = child.wait().unwrap();
        drop(open);
        assert!(!status.success(), "it was killed: {status}");
        let names = Command::new("ip").args(["netns", "list"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&names.stdout).contains(&name));
    }
}
