//! Events of a server as the commands tell them: as JSON for programs, as a line for people.

use indicatif::HumanDuration;
use peerage::{Event, PeerInfo, Record};
use serde_json::{Value, json};

use crate::{
    output::printable,
    reason,
    value::{capability_names, short},
};

/// The event for programs; `None` for those that concern nobody outside.
pub(crate) fn to_json(event: &Event) -> Option<Value> {
    let value = match event {
        Event::PeerAdded { peer } => json!({
            "event": "peer_added",
            "id": peer.id.to_string(),
            "client": peer.client,
            "caps": capability_names(&peer.capabilities),
            "shared": capability_names(&peer.shared),
            "inbound": peer.inbound,
            "remote": remote(peer),
        }),
        Event::PeerDropped { id, fault, duration, .. } => json!({
            "event": "peer_dropped",
            "id": id.to_string(),
            "reason": reason::name(fault.reason()),
            "reason_code": fault.reason().code(),
            "why": fault.to_string(),
            "by_us": fault.is_by_us(),
            "duration_ms": duration.as_millis() as u64,
        }),
        Event::DialFailed { id, why, retry_in } => json!({
            "event": "dial_failed",
            "id": id.to_string(),
            "why": why.to_string(),
            "retry_ms": retry_in.map(|wait| wait.as_millis() as u64),
        }),
        Event::LocalNodeChanged { node } => json!({
            "event": "local_node",
            "enode": node.enode_url(),
            "enr": node.record().map(ToString::to_string),
            "seq": node.record().map(Record::seq),
        }),
        Event::Lagged { missed } => json!({ "event": "lagged", "missed": missed }),
        _ => return None,
    };
    Some(value)
}

/// The event for people, a line.
pub(crate) fn to_text(event: &Event) -> Option<String> {
    let line = match event {
        Event::PeerAdded { peer } => format!(
            "+ {} {} {} {}, {}\n",
            short(&peer.id),
            if peer.inbound { "from" } else { "at" },
            remote(peer).unwrap_or_else(|| "a stream".into()),
            printable(&peer.client),
            capability_names(&peer.capabilities).join(" "),
        ),
        Event::PeerDropped { id, fault, duration, .. } => {
            format!("- {} {fault}, after {}\n", short(id), HumanDuration(*duration))
        }
        Event::DialFailed { id, why, retry_in } => {
            let again = match retry_in {
                Some(wait) => format!("; again in {}", HumanDuration(*wait)),
                None => String::new(),
            };
            format!("! {} {why}{again}\n", short(id))
        }
        Event::LocalNodeChanged { node } => format!("= we are now {}\n", node.enode_url()),
        Event::Lagged { missed } => format!("! {missed} events came too fast to be shown\n"),
        _ => return None,
    };
    Some(line)
}

fn remote(peer: &PeerInfo) -> Option<String> {
    peer.remote.map(|address| address.to_string())
}
