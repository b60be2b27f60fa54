//! The discovery table as `peerage run` shows it when it gets SIGUSR1.

use indicatif::HumanDuration;
use peerage::{Record, Server, TableEntry};
use serde_json::{Value, json};

use crate::value::short;

/// The nodes that discovery knows, closest to us first, by each version; `None` where there is no
/// discovery.
pub(crate) async fn of(server: &Server) -> Option<Vec<TableEntry>> {
    server.discovery_addr()?;
    Some(server.table().await)
}

/// The table for programs: the event `table`.
pub(crate) fn to_json(table: Option<&[TableEntry]>) -> Value {
    let node = |entry: &TableEntry| {
        json!({
            "version": entry.version.to_string(),
            "id": entry.node.id().to_string(),
            "distance": entry.distance,
            "endpoint": entry.endpoint.to_string(),
            "live": entry.is_live,
            "checks": entry.checks,
            "failures": entry.failures,
            "seq": seq(entry),
            "known_ms": entry.known_for.as_millis() as u64,
            "seen_ms": entry.last_seen.map(|seen| seen.as_millis() as u64),
            "enode": entry.node.enode_url(),
            "enr": entry.node.record().map(ToString::to_string),
        })
    };
    json!({
        "event": "table",
        "discovery": table.is_some(),
        "nodes": table.unwrap_or_default().iter().map(node).collect::<Vec<_>>(),
    })
}

/// The table for people.
pub(crate) fn to_text(table: Option<&[TableEntry]>) -> String {
    let Some(entries) = table else { return "discovery is off: there is no table\n".into() };
    let live = entries.iter().filter(|entry| entry.is_live).count();
    let mut text = format!("discovery table: {} nodes, {live} of them checked\n", entries.len());
    if entries.is_empty() {
        return text;
    }
    let endpoints: Vec<String> = entries.iter().map(|entry| entry.endpoint.to_string()).collect();
    let width = endpoints.iter().map(String::len).max().unwrap_or(0);
    text += &format!(
        "by  distance  id        {:width$}  checks  {:13}  last heard\n",
        "address", "record"
    );
    for (entry, endpoint) in entries.iter().zip(endpoints) {
        let record = seq(entry).map_or_else(|| "none".into(), |seq| seq.to_string());
        let heard = match entry.last_seen {
            Some(seen) => format!("{} ago", HumanDuration(seen)),
            None => "never".into(),
        };
        text += &format!(
            "{}  {:8}  {}  {endpoint:width$}  {:>6}  {record:13}  {heard}\n",
            entry.version,
            entry.distance,
            short(&entry.node.id()),
            entry.checks,
        );
    }
    text
}

fn seq(entry: &TableEntry) -> Option<u64> {
    entry.node.record().map(Record::seq)
}
