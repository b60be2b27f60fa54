//! What handles ask of the discovery task.

use peerage_node::{Node, Record};
use tokio::sync::{mpsc, oneshot};

use crate::{
    discovery::{LookupResult, LookupStep, LookupTarget, PongInfo, TableEntry, Version},
    talk::TalkHandler,
};

/// A question or an order, with whom to tell the answer. Who asks may have gone when it comes.
pub(crate) enum Command {
    AddNode(Node),
    /// Panics, to see what becomes of it.
    #[cfg(test)]
    Crash,
    Lookup {
        target: LookupTarget,
        version: Option<Version>,
        steps: mpsc::UnboundedSender<LookupStep>,
        done: oneshot::Sender<LookupResult>,
    },
    Ping {
        node: Node,
        version: Option<Version>,
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
    /// `None` takes the handler away.
    SetTalkHandler {
        protocol: Vec<u8>,
        handler: Option<TalkHandler>,
    },
    Table {
        done: oneshot::Sender<Vec<TableEntry>>,
    },
    Talk {
        node: Node,
        protocol: Vec<u8>,
        request: Vec<u8>,
        done: oneshot::Sender<Option<Vec<u8>>>,
    },
}
