//! The metrics over time, for other programs.

use peerage_sim::metrics::Sample;
use serde_json::{Map, Value, json};

/// A column: its name, and its value in a sample.
type Column = (&'static str, fn(&Sample) -> Value);

/// The columns, in the units that people use: means as they are, shares from 0 to 1.
const COLUMNS: [Column; 16] = [
    ("seconds", |it| json!(it.seconds)),
    ("nodes", |it| json!(it.nodes)),
    ("known_mean", |it| json!(hundredths(it.known_mean))),
    ("known_min", |it| json!(it.known_min)),
    ("live_mean", |it| json!(hundredths(it.live_mean))),
    ("peers_mean", |it| json!(hundredths(it.peers_mean))),
    ("peers_min", |it| json!(it.peers_min)),
    ("peers_max", |it| json!(it.peers_max)),
    ("without_peers", |it| json!(it.lonely)),
    ("peers_added", |it| json!(it.added)),
    ("dials_failed", |it| json!(it.dials_failed)),
    ("adversary_share_of_tables", |it| json!(share(it.adversary_tables))),
    ("adversary_share_of_peers", |it| json!(share(it.adversary_peers))),
    ("datagrams", |it| json!(it.datagrams)),
    ("stream_bytes", |it| json!(it.stream_bytes)),
    ("events", |it| json!(it.events)),
];

/// One sample as an event.
pub(super) fn json(sample: &Sample) -> Value {
    let mut event = Map::from_iter([("event".into(), json!("sample"))]);
    event.extend(COLUMNS.iter().map(|(name, of)| ((*name).into(), of(sample))));
    Value::Object(event)
}

/// The first line of comma-separated values.
pub(super) fn csv_header() -> String {
    COLUMNS.map(|(name, _)| name).join(",")
}

/// One sample as comma-separated values: numbers alone, so that nothing is quoted.
pub(super) fn csv_row(sample: &Sample) -> String {
    COLUMNS.map(|(_, of)| of(sample).to_string()).join(",")
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(super) fn hundredths(number: u64) -> f64 {
    number as f64 / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "at most a million")]
pub(super) fn share(ppm: u64) -> f64 {
    ppm as f64 / 1e6
}
