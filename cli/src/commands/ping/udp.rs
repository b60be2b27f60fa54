//! `peerage ping --v4` and `--v5`: is a node there for discovery, and what is its record now?

use std::time::Duration;

use peerage::{DiscoveryError, Node, PongInfo, Record, SecretKey, Server, Version};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::{
    failure::Failure,
    output::{self, Fields},
    probe,
    value::{millis, millis_text},
};

/// What is asked, and how the answer is told.
pub(super) struct Question {
    /// Whom.
    pub(super) node: Node,
    /// By which version.
    pub(super) version: Version,
    /// How long the answers may take together.
    pub(super) timeout: Duration,
    /// For programs.
    pub(super) json: bool,
}

/// What a node answered.
struct Answer {
    pong: PongInfo,
    /// `None` if it told none: it may be older than EIP-868, or want to be asked again later.
    record: Option<Record>,
}

impl Question {
    /// Asks with this key, and prints the answer.
    pub(super) async fn ask(self, key: SecretKey) -> Result<(), Failure> {
        let server = probe::start(key, self.version, std::slice::from_ref(&self.node), &[]).await?;
        let answer = self.answer(&server).await;
        server.stop().await;
        if self.json {
            output::json_line(&to_json(&self.node, answer.as_ref()))?;
        } else if let Ok(answer) = &answer {
            output::text(&to_text(&self.node, answer))?;
        }
        answer.map(drop).map_err(|why| PingUdpError { why }.into())
    }

    async fn answer(&self, server: &Server) -> Result<Answer, DiscoveryError> {
        let deadline = Instant::now() + self.timeout;
        let pong = match timeout_at(deadline, server.ping_by(self.version, self.node.clone())).await
        {
            Ok(pong) => pong?,
            Err(_) => return Err(DiscoveryError::NoAnswer),
        };
        let asked = timeout_at(deadline, server.request_record(self.node.clone())).await;
        Ok(Answer { pong, record: asked.ok().and_then(Result::ok) })
    }
}

/// Why a node did not answer over UDP.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("cannot ping by discovery: {why}")]
pub(crate) struct PingUdpError {
    why: DiscoveryError,
}

fn to_text(node: &Node, answer: &Answer) -> String {
    let Answer { pong, record } = answer;
    let mut fields = Fields::new();
    fields
        .add("id", node.id())
        .add("address", pong.from)
        .add("round trip", millis_text(pong.round_trip))
        .add("sequence", pong.seq.map_or_else(|| "none in its pong".into(), |seq| seq.to_string()))
        .add("record", record.as_ref().map_or_else(|| "it gave none".into(), Record::to_string));
    if let Some(record) = record {
        fields.add("enode", Node::from_record(record.clone()).enode_url());
    }
    if let Some(endpoint) = pong.our_endpoint {
        fields.add("sees us at", endpoint);
    }
    fields.render("")
}

fn to_json(node: &Node, answer: Result<&Answer, &DiscoveryError>) -> Value {
    let id = node.id().to_string();
    match answer {
        Ok(Answer { pong, record }) => json!({
            "ok": true,
            "id": id,
            "remote": pong.from.to_string(),
            "round_trip_ms": millis(pong.round_trip),
            "seq": pong.seq,
            "enr": record.as_ref().map(Record::to_string),
            "enode": record.as_ref().map(|record| Node::from_record(record.clone()).enode_url()),
            "our_endpoint": pong.our_endpoint.map(|endpoint| endpoint.to_string()),
        }),
        Err(error) => json!({ "ok": false, "id": id, "error": error.to_string() }),
    }
}
