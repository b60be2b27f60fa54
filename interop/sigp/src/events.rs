//! How the node tells what happens: JSON lines, and what it only writes to its log.

use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use enr::NodeId;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Tells `v5_banned` when the library bans a node and its address for an hour: for a record that
/// was not asked for. It has no other way to say so.
pub struct Bans;

impl<S: Subscriber> Layer<S> for Bans {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !event.metadata().target().starts_with("discv5") {
            return;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        if text.0.contains("Blacklisting") {
            print(&json!({ "event": "v5_banned", "why": text.0 }));
        }
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}: {value:?} ").expect("a text takes all");
    }
}

/// One object, one line, in one write.
pub fn print(event: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{event}").and_then(|()| out.flush()).expect("the harness is listening");
}

/// All 64 hex digits, where its own text has fewer.
pub fn id(id: &NodeId) -> String {
    hex::encode(id.raw())
}

/// An address and a port as one text.
pub fn endpoint(ip: IpAddr, port: u16) -> String {
    SocketAddr::new(ip, port).to_string()
}
