//! A bad link between two namespaces: `interop/link/link.py`, which says what it can do.
//!
//! In Python, as the ioctl and `setns` that it needs are unsafe in Rust, and Trinity has brought
//! Python already.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::netns::Netns;
use crate::process::Process;

/// A link that is up. Dropping it takes both of its ends away.
pub struct Link {
    process: Process,
    ends: [Netns; 2],
}

impl Link {
    /// The address of the first end.
    pub const FIRST: &str = "10.77.0.1";
    /// The address of the second end.
    pub const SECOND: &str = "10.77.0.2";

    /// Joins two namespaces, with faults as `link.py` has them (`--loss 5`).
    ///
    /// # Panics
    /// If it cannot; [`Netns::for_link`] sees whether it can.
    pub fn join(first: &Netns, second: &Netns, faults: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("link/link.py");
        let mut command = first.command("python3");
        command.arg(script).args([second.name(), Self::FIRST, Self::SECOND]).args(faults);
        let mut process = Process::spawn(first, "link", &mut command);
        process.event("up");
        Self { process, ends: [first.clone(), second.clone()] }
    }

    /// Takes the first end down, or up again (`up`).
    ///
    /// # Panics
    /// If there is no link any more.
    pub fn set(&self, state: &str) {
        let mut command = Command::new("ip");
        command.args(["-n", self.ends[0].name(), "link", "set", "tun0", state]);
        let status = command.stdin(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "the link cannot be set {state}");
    }

    /// Ends the link: both devices are gone afterwards. What it did to how many packets.
    ///
    /// # Panics
    /// If it does not end.
    pub fn end(self) -> Value {
        let (status, events) = self.process.finish();
        assert!(status.success(), "the link failed: {status}");
        events.into_iter().find(|event| event["event"] == "counts").expect("because it counts")
    }
}
