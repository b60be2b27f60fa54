//! Nodes that others wrote, behind one vocabulary of commands and events.
//!
//! All tell `listening` (`enode`) or `ready`, `hello` (`caps`, and what else of it they show), `connect`,
//! `disconnect` (`by`, `reason`), `closed`; those with capabilities of our choice also `sent` and `message` (`protocol`, `code`,
//! `size`, `sha256`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::netns::Netns;
use crate::process::{Process, text};

/// A foreign implementation of RLPx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// `@ethereumjs/devp2p`, in JavaScript. Sends Disconnect as a bare number.
    Ethereumjs,
    /// `ethrex-p2p`, in Rust. Speaks `eth` and `snap` only.
    Ethrex,
    /// The `p2p` package of Trinity, in Python. Stays where there is no capability in common.
    Trinity,
}

impl Implementation {
    /// Whether `interop/setup` has installed it, and just as it is listed now.
    pub fn is_installed(self) -> bool {
        let same =
            |list: &str, copy: &str| match (std::fs::read(here(list)), std::fs::read(here(copy))) {
                (Ok(list), Ok(copy)) => list == copy,
                _ => false,
            };
        match self {
            Self::Ethereumjs => same("ethereumjs/package-lock.json", ".cache/ethereumjs/installed"),
            Self::Ethrex => here(EXNODE).is_file(),
            Self::Trinity => same("trinity/requirements.txt", ".cache/trinity/installed"),
        }
    }

    /// The client name that it announces in Hello.
    pub const fn client(self) -> &'static str {
        match self {
            Self::Ethereumjs => "ethereumjs-devp2p/v10.0.0/interop",
            Self::Ethrex => "ethrex-p2p/v24.0.0/interop",
            Self::Trinity => "trinity/v0.1.0a37/interop",
        }
    }

    /// The secret key of its node: the same in every run, one for each implementation.
    fn key(self) -> String {
        match self {
            Self::Ethereumjs => "e1",
            Self::Ethrex => "e2",
            Self::Trinity => "71",
        }
        .repeat(32)
    }

    fn command(self, net: &Netns) -> Command {
        match self {
            Self::Ethereumjs => {
                let mut command = net.command("node");
                command.arg(here("ethereumjs/node.mjs"));
                command
            }
            Self::Ethrex => net.command(here(EXNODE)),
            Self::Trinity => {
                let mut command = net.command(here(".cache/trinity/bin/python"));
                command.arg(here("trinity/node.py"));
                command
            }
        }
    }
}

impl fmt::Display for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ethereumjs => "ethereumjs",
            Self::Ethrex => "ethrex-p2p",
            Self::Trinity => "Trinity",
        })
    }
}

const EXNODE: &str = ".cache/ethrex-target/debug/exnode";

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a message is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Bytes that no compression shortens.
    Noise,
    /// A sentence over and over.
    Text,
}

/// A running foreign node.
pub struct Foreign {
    process: Process,
}

impl Foreign {
    /// Starts a node. Beside its key it is given `arguments`: `--listen PORT` (0 for any, but ethrex wants to know),
    /// and for those with capabilities of our choice `--cap NAME/VERSION/LENGTH` (`demo/1/4` by default) and `--echo`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(net: &Netns, implementation: Implementation, arguments: &[&str]) -> Self {
        let mut command = implementation.command(net);
        command.args(["--key", &implementation.key()]).args(arguments);
        Self { process: Process::spawn(net, &implementation.to_string(), &mut command) }
    }

    /// Waits until it listens: its `enode:` URL.
    ///
    /// # Panics
    /// If it does not.
    pub fn enode(&mut self) -> String {
        text(&self.event("listening")["enode"]).to_owned()
    }

    /// Has it dial a node.
    pub fn dial(&mut self, enode: &str) {
        self.process.command(&json!({"cmd": "dial", "enode": enode}));
    }

    /// Has it send a message to its peer, and waits until the same bytes have come back. The bytes are compared where
    /// they were made: over there.
    ///
    /// # Panics
    /// If another message comes back, or none.
    pub fn round_trip(&mut self, protocol: &str, code: u8, size: usize, fill: Fill) {
        let fill = match fill {
            Fill::Noise => "noise",
            Fill::Text => "text",
        };
        let command =
            json!({"cmd": "send", "protocol": protocol, "code": code, "size": size, "fill": fill});
        self.process.command(&command);
        let contents = |event: Value| {
            ["protocol", "code", "size", "sha256"].map(|field| (field, event[field].clone()))
        };
        let sent = contents(self.event("sent"));
        assert_eq!(sent[2].1, size);
        assert_eq!(contents(self.event("message")), sent);
    }

    /// Has it ping its peer; the answer is `pong`. Only Trinity tells of it.
    pub fn ping(&mut self) {
        self.process.command(&json!({"cmd": "ping"}));
    }

    /// Has it leave its peer, with a reason of rlpx.md.
    pub fn disconnect(&mut self, reason: u8) {
        self.process.command(&json!({"cmd": "disconnect", "reason": reason}));
    }

    /// [`Process::event`].
    pub fn event(&mut self, name: &str) -> Value {
        self.process.event(name)
    }

    /// [`Process::expect`].
    pub fn expect(&mut self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        self.process.expect(what, matches)
    }

    /// Waits until it has heard a Disconnect from its peer: the reason.
    ///
    /// # Panics
    /// If none comes.
    pub fn told_to_leave(&mut self) -> Value {
        let event = self.expect("a Disconnect that was received", |event| {
            event["event"] == "disconnect" && event["by"] == "remote"
        });
        event["reason"].clone()
    }

    /// Waits until its connection is closed.
    ///
    /// # Panics
    /// If it was reset: a reset can overtake the Disconnect before it, and destroy it.
    pub fn closed_cleanly(&mut self) {
        let closed = self.event("closed");
        assert_ne!(closed["reset"], true, "the connection was reset");
        for event in self.process.untaken() {
            let text = event.to_string();
            let reset = ["ECONNRESET", "ConnectionReset"].iter().any(|word| text.contains(word));
            assert!(!reset, "the connection was reset: {text}");
        }
    }
}
