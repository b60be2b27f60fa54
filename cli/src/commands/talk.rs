//! `peerage talk`: one question in a protocol that discovery v5 carries.

use std::{path::PathBuf, slice, time::Duration};

use clap::Args;
use indicatif::MultiProgress;
use peerage::{DiscoveryError, Node, Version};
use serde_json::json;
use tokio::{
    runtime::Runtime,
    time::{Instant, timeout},
};

use crate::{
    failure::Failure,
    key_file,
    log::LogArgs,
    output::{self, Fields},
    probe,
    value::{millis, millis_text},
};

/// Asks a node in another protocol, by TALKREQ of discovery v5, and shows its answer.
///
/// A node that does not speak the protocol answers with nothing. The exit code is 0 if it answered.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  peerage talk enr:-IS4Q… echo 68656c6c6f
  peerage talk enode://…@203.0.113.7:30303 portal 00 --json

A node that answers with what it was asked: peerage run --talk-echo echo")]
pub(crate) struct Talk {
    /// The node: enode URL with its address, or node record.
    node: Node,
    /// The name of the protocol.
    protocol: String,
    /// What to ask, in hexadecimal digits; nothing by default.
    #[arg(default_value = "")]
    request: String,
    /// The key to show, instead of one made for this once.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    log: LogArgs,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TalkError {
    /// Discovery failed, or the node did not answer.
    #[error("cannot talk: {0}")]
    Discovery(#[from] DiscoveryError),
    /// The request is not in hexadecimal digits.
    #[error("the request is written in hexadecimal digits, two for each byte, with or without 0x")]
    Request,
}

impl Talk {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.log.log.install(&MultiProgress::new());
        let digits = self.request.strip_prefix("0x").unwrap_or(&self.request);
        let request = hex::decode(digits).map_err(|_| TalkError::Request)?;
        Runtime::new().map_err(Failure::Runtime)?.block_on(self.ask(request))
    }

    async fn ask(self, request: Vec<u8>) -> Result<(), Failure> {
        let key = key_file::load_or_random(self.key_file.as_deref())?;
        let server = probe::start(key, Version::V5, slice::from_ref(&self.node), &[]).await?;
        let asked = Instant::now();
        let talk = server.talk(self.node.clone(), self.protocol.as_str(), request);
        let answer = timeout(Duration::from_secs(self.timeout), talk).await;
        let took = asked.elapsed();
        server.stop().await;
        let answer = answer.unwrap_or(Err(DiscoveryError::NoAnswer));
        let id = self.node.id();
        if self.json {
            output::json_line(&json!({
                "ok": answer.is_ok(),
                "id": id.to_string(),
                "response": answer.as_ref().ok().map(hex::encode),
                "round_trip_ms": answer.is_ok().then(|| millis(took)),
                "error": answer.as_ref().err().map(ToString::to_string),
            }))?;
        } else if let Ok(response) = &answer {
            let mut fields = Fields::new();
            fields
                .add("id", id)
                .add("answered in", millis_text(took))
                .add("bytes", response.len())
                .add("response", hex::encode(response));
            output::text(&fields.render(""))?;
        }
        answer.map(drop).map_err(TalkError::from)?;
        Ok(())
    }
}
