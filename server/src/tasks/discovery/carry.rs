//! What the discovery machine wants done, done: one arm per output.

use peerage_discovery::Output;
use peerage_machine::Machine as _;
use peerage_node::{Node, Record};
use tokio::sync::{mpsc, oneshot};

use super::{Input, Task};
use crate::{
    discovery::{LookupResult, LookupStep, PongInfo, TableEntry},
    events::Event,
    talk::TalkRequest,
    tasks::notice::Notice,
};

/// Who waits for an answer of the machine. Telling it fails if they have gone meanwhile.
pub(super) enum Query {
    Lookup { steps: mpsc::UnboundedSender<LookupStep>, done: oneshot::Sender<LookupResult> },
    Ping(oneshot::Sender<Option<PongInfo>>),
    Record(oneshot::Sender<Option<Record>>),
    Resolve(oneshot::Sender<Option<Node>>),
    Table(oneshot::Sender<Vec<TableEntry>>),
    Talk(oneshot::Sender<Option<Vec<u8>>>),
}

impl Task {
    /// Drains the machine, as its contract demands after every call.
    pub(super) async fn carry_outputs(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Send { to, bytes } => self.socket.send(to, &bytes).await,
                Output::WantSeeds => {
                    let seeds = self.links.keeper.seeds().await;
                    tracing::debug!(seeds = seeds.len(), "discovery begins");
                    self.input(Input::Seeds(seeds));
                }
                output => self.carry(output),
            }
        }
    }

    fn carry(&mut self, output: Output) {
        let queries = &mut self.queries;
        match output {
            Output::Candidate { node, source } => {
                // Fails if the server has stopped.
                let _ = self.links.tell.send(Notice::Candidate { node: Box::new(node), source });
            }
            Output::LocalRecord(record) => self.show(&record),
            Output::LookupDone { id, result } => {
                if let Some(Query::Lookup { done, .. }) = queries.remove(&id) {
                    let _ = done.send(result);
                }
            }
            Output::LookupStep { id, step } => {
                if let Some(Query::Lookup { steps, .. }) = queries.get(&id) {
                    let _ = steps.send(step);
                }
            }
            Output::NodeAdded { node, version } => {
                tracing::debug!(?node, %version, "node discovered");
                self.publish(Event::NodeAdded { node, version });
            }
            Output::NodeDropped { id, version } => {
                tracing::debug!(%id, %version, "node forgotten");
                self.publish(Event::NodeDropped { id, version });
            }
            Output::PingFailed { id } => {
                if let Some(Query::Ping(done)) = queries.remove(&id) {
                    let _ = done.send(None);
                }
            }
            Output::Pong { id, pong } => {
                if let Some(Query::Ping(done)) = queries.remove(&id) {
                    let _ = done.send(Some(pong));
                }
            }
            Output::Record { id, record } => {
                if let Some(Query::Record(done)) = queries.remove(&id) {
                    let _ = done.send(record);
                }
            }
            Output::ResolveName { id, host } => self.names.resolve(id, host),
            Output::Resolved { id, node } => {
                if let Some(Query::Resolve(done)) = queries.remove(&id) {
                    let _ = done.send(node);
                }
            }
            Output::Send { .. } | Output::WantSeeds => {
                tracing::error!(
                    "an output that only waits for the network or the disk was not done"
                );
            }
            Output::Store(op) => self.links.keeper.op(op),
            Output::Table { id, entries } => {
                if let Some(Query::Table(done)) = queries.remove(&id) {
                    let _ = done.send(entries);
                }
            }
            Output::TalkRequest { id, from, addr, protocol, request } => {
                let request = TalkRequest::new(from, addr, protocol, request);
                self.talking.on_request(id, request);
            }
            Output::TalkResponse { id, response } => {
                if let Some(Query::Talk(done)) = queries.remove(&id) {
                    let _ = done.send(response);
                }
            }
            Output::Warning(warning) => tracing::warn!("{warning}"),
        }
    }

    fn show(&self, record: &Record) {
        tracing::info!(%record, "our record changed");
        let node = self.endpoint.local_node();
        self.links.shown.send_replace(node.clone());
        self.publish(Event::LocalNodeChanged { node });
    }

    fn publish(&self, event: Event) {
        // Fails if nobody has subscribed.
        let _ = self.links.events.send(event);
    }
}
