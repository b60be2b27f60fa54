//! ethrex's tracing, read back as events: the only window it has on Hello, Disconnect and the
//! packets of discovery.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write as _;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::discovery_v5;

/// Prints what ethrex traces about connections; asks `main` for the peers when one was added.
pub struct Events {
    notify: UnboundedSender<Value>,
}

impl Events {
    pub fn new(notify: UnboundedSender<Value>) -> Self {
        Self { notify }
    }
}

impl<S: Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !event.metadata().target().starts_with("ethrex_p2p") {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let field = |name: &str| fields.0.get(name).cloned().unwrap_or_default();
        let message = field("message");
        match message.as_str() {
            "Hello message capabilities" => {
                print(&json!({"event": "hello", "caps": capabilities(&field("capabilities"))}));
            }
            "Peer connection initialized." => {
                // Only fails when the process is on its way out.
                let _ = self.notify.send(json!({"cmd": "peers"}));
            }
            "Received Disconnect" => {
                print(&json!({"event": "disconnect", "reason": field("reason"), "by": "remote"}))
            }
            "Closing connection with established peer" => print(&json!({"event": "closed"})),
            "connection failure" => print(&json!({"event": "failed", "error": field("error")})),
            _ if field("protocol") == "discv4" => self.on_discovery(&fields.0),
            _ if field("protocol") == "discv5" => {
                discovery_v5::on_trace(&message, &fields.0);
                // Only fails when the process is on its way out.
                let _ = self.notify.send(json!({"cmd": "v5_changes"}));
            }
            _ => print(&json!({"event": "log", "message": message, "fields": fields.0})),
        }
    }
}

impl Events {
    fn on_discovery(&self, fields: &BTreeMap<String, String>) {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        // Written as `0x...`.
        let id = |name: &str| field(name).split_off(2);
        let kind = |name: &str| field(name).to_lowercase();
        // What is received is traced twice: as it comes, with its content, and with a message where
        // it is worth one.
        match (fields.contains_key("msg"), fields.contains_key("from"), fields.contains_key("to")) {
            (true, true, _) => print(&json!({
                "event": "v4_received", "type": kind("received"), "id": id("from"), "content": field("msg"),
            })),
            (false, false, true) if fields.contains_key("sent") => {
                print(&json!({"event": "v4_sent", "type": kind("sent"), "id": id("to")}))
            }
            (false, true, _) if field("received") == "ENRResponse" => {
                // It has been looked at, and is in the table if it was asked for. Only fails on the
                // way out.
                let _ = self.notify.send(json!({"cmd": "v4_contact", "id": id("from")}));
            }
            _ => print(&json!({"event": "log", "fields": fields})),
        }
    }
}

/// One object, one line, in one write.
pub fn print(event: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{event}").and_then(|()| out.flush()).expect("the harness is listening");
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

/// `name/version` of every `Capability { protocol: [101, 116, ...], version: 68 }`; its `Debug`
/// form is all that is traced.
fn capabilities(debug: &str) -> Vec<String> {
    let numbers = |text: &str| -> Vec<u8> {
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    debug
        .split("protocol: ")
        .skip(1)
        .filter_map(|capability| capability.split_once(']'))
        .map(|(name, version)| {
            let name: Vec<u8> = numbers(name).into_iter().take_while(|byte| *byte != 0).collect();
            let version = numbers(version).first().copied().unwrap_or_default();
            format!("{}/{version}", String::from_utf8_lossy(&name))
        })
        .collect()
}
