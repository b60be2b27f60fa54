//! `peerage ping`: is a node there, and what does it say of itself?

pub(crate) mod udp;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use indicatif::MultiProgress;
use peerage::{Fault, Node, PingAnswer, PingOptions, Version};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    args::CapabilitySpec,
    failure::Failure,
    key_file,
    log::LogArgs,
    output::{self, Fields},
    reason,
    value::{capability_names, millis, millis_text},
};

/// Connects to a node, and shows its Hello, how long a ping takes, or why it refuses us.
///
/// With --v4 or --v5, asks by that version of discovery over UDP instead: how long a ping takes,
/// and the node's current record. The exit code is 0 if the node gave its Hello, or answered the
/// ping.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  peerage ping enode://…@203.0.113.7:30303
  peerage ping enr:-IS4Q… --cap demo/1 --json
  peerage ping --v4 enode://…@203.0.113.7:30303
  peerage ping --v5 enr:-IS4Q…")]
pub(crate) struct Ping {
    /// The node: enode URL with its address, or node record.
    node: Node,
    /// Ask over UDP, by discovery v4: round trip, record and its sequence number.
    #[arg(long, conflicts_with = "capabilities")]
    v4: bool,
    /// Ask over UDP, by discovery v5: round trip, record and its sequence number.
    #[arg(long, conflicts_with_all = ["capabilities", "v4"])]
    v5: bool,
    /// The key to show, instead of one made for this once.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A capability to announce (repeatable). Most nodes hang up on whoever shares none with them.
    #[arg(long = "cap", value_name = "NAME/VERSION",
        default_values = ["eth/68", "eth/69", "snap/1"])]
    capabilities: Vec<CapabilitySpec>,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    log: LogArgs,
}

/// Why the node did not answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct PingError(#[from] peerage::PingError);

impl Ping {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.log.log.install(&MultiProgress::new());
        let key = key_file::load_or_random(self.key_file.as_deref())?;
        let version = match (self.v4, self.v5) {
            (true, _) => Some(Version::V4),
            (_, true) => Some(Version::V5),
            _ => None,
        };
        if let Some(version) = version {
            let timeout = self.timeout();
            let question = udp::Question { node: self.node, version, timeout, json: self.json };
            let runtime = Runtime::new().map_err(Failure::Runtime)?;
            return runtime.block_on(question.ask(key));
        }
        let mut options = PingOptions::new(key);
        options.capabilities = self.capabilities.iter().map(|spec| spec.0).collect();
        options.timeout = self.timeout();
        let runtime = Runtime::new().map_err(Failure::Runtime)?;
        let answer = runtime.block_on(peerage::ping(&self.node, options));
        if self.json {
            output::json_line(&to_json(&self.node, answer.as_ref()))?;
        } else if let Ok(answer) = &answer {
            output::text(&to_text(&self.node, answer))?;
        }
        answer.map_err(PingError)?;
        Ok(())
    }

    const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

fn to_text(node: &Node, answer: &PingAnswer) -> String {
    let hello = &answer.hello;
    let mut fields = Fields::new();
    fields
        .add("id", node.id())
        .add("address", answer.remote)
        .add("client", output::printable(&hello.client))
        .add("p2p version", hello.version)
        .add("capabilities", capability_names(&hello.capabilities).join(" "))
        .add("connected in", millis_text(answer.connecting))
        .add("Hello after", millis_text(answer.handshake));
    match (answer.round_trip, &answer.ended) {
        (Some(round_trip), _) => fields.add("round trip", millis_text(round_trip)),
        (None, None) => fields.add("round trip", "unknown: no pong in time"),
        (None, Some(_)) => fields.add("round trip", "unknown: it left before its pong"),
    };
    if let Some(fault) = &answer.ended {
        fields.add("then", fault);
    }
    fields.render("")
}

fn to_json(node: &Node, answer: Result<&PingAnswer, &peerage::PingError>) -> Value {
    let id = node.id().to_string();
    match answer {
        Ok(answer) => json!({
            "ok": true,
            "id": id,
            "remote": answer.remote,
            "client": answer.hello.client,
            "p2p_version": answer.hello.version,
            "caps": capability_names(&answer.hello.capabilities),
            "connect_ms": millis(answer.connecting),
            "hello_ms": millis(answer.handshake),
            "round_trip_ms": answer.round_trip.map(millis),
            "disconnect": answer.ended.as_ref().map(fault_json),
        }),
        Err(error) => json!({
            "ok": false,
            "id": id,
            "error": error.to_string(),
            "disconnect": match error {
                peerage::PingError::BeforeHello { fault, .. } => fault_json(fault),
                _ => Value::Null,
            },
        }),
    }
}

fn fault_json(fault: &Fault) -> Value {
    json!({
        "reason": reason::name(fault.reason()),
        "reason_code": fault.reason().code(),
        "by_us": fault.is_by_us(),
        "why": fault.to_string(),
    })
}
