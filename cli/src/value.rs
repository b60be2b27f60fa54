//! How the commands write ids, spans of time and capabilities: the same everywhere.

use std::time::Duration;

use peerage::{Capability, NodeId};

/// Enough of an id to tell nodes apart on a screen.
pub(crate) fn short(id: &NodeId) -> String {
    hex::encode(&id.0[..4])
}

/// Milliseconds with three decimals: a round trip on loopback is a fraction of one.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The same with its unit, for people.
pub(crate) fn millis_text(duration: Duration) -> String {
    format!("{:.3} ms", millis(duration))
}

/// Capabilities as Hello announces them: `eth/68`.
pub(crate) fn capability_names(capabilities: &[Capability]) -> Vec<String> {
    capabilities.iter().map(ToString::to_string).collect()
}
