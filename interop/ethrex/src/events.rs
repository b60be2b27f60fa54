//! ethrex's tracing, read back as events: the only window it has on Hello and Disconnect.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write as _;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

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
            _ => print(&json!({"event": "log", "message": message, "fields": fields.0})),
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

/// `name/version` of every `Capability { protocol: [101, 116, ...], version: 68 }`; its `Debug` form is all that is traced.
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
