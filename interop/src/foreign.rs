//! Nodes that others wrote, behind one vocabulary of commands and events.
//!
//! All tell `listening` (`enode`) or `ready`. Those that a test drives tell `hello` (`caps`, and
//! what else of it they show), `connect`, `disconnect` (`by`, `reason`), `closed`; those with
//! capabilities of our choice also `sent` and `message` (`protocol`, `code`, `size`, `sha256`).
//! What they tell of discovery is in [`discovery`](super::discovery) for v4 and in
//! [`discovery_v5`](super::discovery_v5).

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::netns::Netns;
use crate::process::{Process, text};

/// A foreign implementation of RLPx or of discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// `@chainsafe/discv5`, in JavaScript: discovery v5 and nothing else.
    Chainsafe,
    /// `@ethereumjs/devp2p`, in JavaScript. Sends Disconnect as a bare number. Discovery v4 without
    /// records.
    Ethereumjs,
    /// `@ethereumjs/client`, a whole execution client on a private chain. It takes no commands,
    /// finds its peers by discovery v4, and tells what its own `admin_peers` says of them.
    EthereumjsClient,
    /// `ethrex-p2p`, in Rust. Speaks `eth` and `snap` only, discovery v4 with records, and v5.
    Ethrex,
    /// `discv5` of Sigma Prime, in Rust: discovery v5 and nothing else.
    Sigp,
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
            Self::Chainsafe => {
                same("chainsafe-discv5/package-lock.json", ".cache/chainsafe-discv5/installed")
            }
            Self::Ethereumjs => same("ethereumjs/package-lock.json", ".cache/ethereumjs/installed"),
            Self::EthereumjsClient => {
                same("ethereumjs-client/package-lock.json", ".cache/ethereumjs-client/installed")
            }
            Self::Ethrex => here(EXNODE).is_file(),
            Self::Sigp => here(SIGPNODE).is_file(),
            Self::Trinity => same("trinity/requirements.txt", ".cache/trinity/installed"),
        }
    }

    /// The client name that it announces in Hello; empty if it sends none.
    pub const fn client(self) -> &'static str {
        match self {
            Self::Chainsafe | Self::Sigp => "",
            Self::Ethereumjs => "ethereumjs-devp2p/v10.0.0/interop",
            // It goes on with the platform.
            Self::EthereumjsClient => "EthereumJS/0.10.5",
            Self::Ethrex => "ethrex-p2p/v24.0.0/interop",
            Self::Trinity => "trinity/v0.1.0a37/interop",
        }
    }

    /// The secret key of its node number `number`: the same in every run. `None` if it makes its
    /// own.
    fn key(self, number: u8) -> Option<String> {
        let implementation = match self {
            Self::Chainsafe => "c5",
            Self::Ethereumjs => "e1",
            Self::EthereumjsClient => return None,
            Self::Ethrex => "e2",
            Self::Sigp => "51",
            Self::Trinity => "71",
        };
        Some(format!("{}{number:02x}", implementation.repeat(31)))
    }

    /// Where its driver lies.
    const fn folder(self) -> &'static str {
        match self {
            Self::Chainsafe => "chainsafe-discv5",
            Self::Ethereumjs => "ethereumjs",
            Self::EthereumjsClient => "ethereumjs-client",
            Self::Ethrex => "ethrex",
            Self::Sigp => "sigp",
            Self::Trinity => "trinity",
        }
    }

    fn command(self, net: &Netns) -> Command {
        match self {
            Self::Chainsafe | Self::Ethereumjs | Self::EthereumjsClient => {
                let mut command = net.command("node");
                command.arg(here(&format!("{}/node.mjs", self.folder())));
                command
            }
            Self::Ethrex => net.command(here(EXNODE)),
            Self::Sigp => net.command(here(SIGPNODE)),
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
            Self::Chainsafe => "chainsafe-discv5",
            Self::Ethereumjs => "ethereumjs",
            Self::EthereumjsClient => "the client of ethereumjs",
            Self::Ethrex => "ethrex-p2p",
            Self::Sigp => "sigp-discv5",
            Self::Trinity => "Trinity",
        })
    }
}

const EXNODE: &str = ".cache/ethrex-target/debug/exnode";
const SIGPNODE: &str = ".cache/sigp-target/debug/sigpnode";

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
    pub(crate) process: Process,
    /// For those that keep something.
    _data: TempDir,
}

impl Foreign {
    /// Starts a node. Beside its key it is given `arguments`: `--listen PORT` (0 for any, but
    /// ethrex and whole clients want to know); for those with capabilities of our choice
    /// `--cap NAME/VERSION/LENGTH` (`demo/1/4` by default) and `--echo`; for those with discovery
    /// v4 `--discovery`; for those with v5 `--address IP`, where it is on by itself but at ethrex
    /// (`--discovery-v5`); and `--bootnodes NODE` for those that find others without being told to,
    /// and those with v5.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(net: &Netns, implementation: Implementation, arguments: &[&str]) -> Self {
        Self::spawn_one_of(net, implementation, 1, arguments)
    }

    /// [`spawn`](Self::spawn) for a test that needs several: each `number` has a key of its own.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn_one_of(
        net: &Netns,
        implementation: Implementation,
        number: u8,
        arguments: &[&str],
    ) -> Self {
        let data = TempDir::new().expect("because there is a place for temporary files");
        let mut command = implementation.command(net);
        match implementation.key(number) {
            Some(key) => command.args(["--key", &key]),
            None => command.arg("--data-dir").arg(data.path()),
        };
        command.args(arguments);
        let name = match number {
            1 => implementation.to_string(),
            _ => format!("{implementation} ({number})"),
        };
        Self { process: Process::spawn(net, &name, &mut command), _data: data }
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

    /// Has it send a message to its peer, and waits until the same bytes have come back. The bytes
    /// are compared where they were made: over there.
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

    /// Whether it has said such an event, and nobody has taken it.
    pub fn has_said(&self, name: &str) -> bool {
        self.process.untaken().iter().any(|event| event["event"] == name)
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
