//! What handles ask of the discovery task.

use peerage_node::{Node, Record};
use tokio::sync::{mpsc, oneshot};

use crate::discovery::{LookupResult, LookupStep, LookupTarget, PongInfo, TableEntry};

/// A question or an order, with whom to tell the answer. Who asks may have gone when it comes.
#[derive(Debug)]
pub(crate) enum Command {
    AddNode(Node),
    /// Panics, to see what becomes of it.
    #[cfg(test)]
    Crash,
    Lookup {
        target: LookupTarget,
        steps: mpsc::UnboundedSender<LookupStep>,
        done: oneshot::Sender<LookupResult>,
    },
    Ping {
        node: Node,
        done: oneshot::Sender<Option<PongInfo>>,
    },
    Record {
        node: Node,
        done: oneshot::Sender<Option<Record>>,
    },
    Resolve {
        node: Node,
        done: oneshot::Sender<Option<Node>>,
    },
    Table {
        done: oneshot::Sender<Vec<TableEntry>>,
    },
}
