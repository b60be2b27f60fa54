//! What the discovery machine wants done, done: one arm per output.

use peerage_discovery::{Output, StoreOp};
use peerage_machine::Machine as _;
use peerage_node::{Node, Record};
use peerage_peering::envelope::Input as Peering;
use tokio::sync::{mpsc, oneshot};

use super::{Driven, Task};
use crate::{
    discovery::{LookupResult, LookupStep, PongInfo},
    events::Event,
    tasks::notice::Notice,
};

/// Who waits for an answer of the machine. Telling it fails if they have gone meanwhile.
pub(super) enum Query {
    Lookup { steps: mpsc::UnboundedSender<LookupStep>, done: oneshot::Sender<LookupResult> },
    Ping(oneshot::Sender<Option<PongInfo>>),
    Record(oneshot::Sender<Option<Record>>),
    Resolve(oneshot::Sender<Option<Node>>),
}

impl Task {
    /// Drains the machine, as its contract demands after every call.
    pub(super) async fn carry_outputs(&mut self, driven: &mut Driven) {
        while let Some(output) = driven.v4.poll_output() {
            match output {
                Output::Send { to, bytes } => self.plan.socket.send(to, &bytes).await,
                output => self.carry(driven, output),
            }
        }
    }

    fn carry(&mut self, driven: &mut Driven, output: Output) {
        let queries = &mut driven.queries;
        match output {
            Output::Candidate(node) => {
                // Fails if the server has stopped.
                let input = Box::new(Peering::Candidate { node });
                let _ = self.links.tell.send(Notice::Command(input));
            }
            Output::LocalRecord(record) => self.show(record),
            Output::LookupDone { id, closest, queries: asked, packets } => {
                if let Some(Query::Lookup { done, .. }) = queries.remove(&id) {
                    let _ = done.send(LookupResult { closest, queries: asked, packets });
                }
            }
            Output::LookupStep { id, asked, found } => {
                if let Some(Query::Lookup { steps, .. }) = queries.get(&id) {
                    let _ = steps.send(LookupStep { asked, found });
                }
            }
            Output::NodeAdded(node) => {
                tracing::debug!(?node, "node discovered");
                self.publish(Event::NodeAdded { node });
            }
            Output::NodeDropped(id) => {
                tracing::debug!(%id, "node forgotten");
                self.publish(Event::NodeDropped { id });
            }
            Output::PingFailed { id } => {
                if let Some(Query::Ping(done)) = queries.remove(&id) {
                    let _ = done.send(None);
                }
            }
            Output::Pong { id, from, round_trip, seq, our_endpoint } => {
                if let Some(Query::Ping(done)) = queries.remove(&id) {
                    let _ = done.send(Some(PongInfo { from, round_trip, seq, our_endpoint }));
                }
            }
            Output::Record { id, record } => {
                if let Some(Query::Record(done)) = queries.remove(&id) {
                    let _ = done.send(record);
                }
            }
            Output::Resolved { id, node } => {
                if let Some(Query::Resolve(done)) = queries.remove(&id) {
                    let _ = done.send(node);
                }
            }
            Output::Send { .. } => tracing::error!("a datagram that was not sent"),
            Output::Store(op) => {
                if let StoreOp::Seq(seq) = op {
                    // So that a machine that is made anew goes on from there.
                    self.plan.seq = seq;
                }
                self.links.keeper.op(op);
            }
        }
    }

    fn show(&self, record: Record) {
        tracing::info!(%record, "our record changed");
        let node = self.plan.local.node(record);
        self.links.shown.send_replace(node.clone());
        self.publish(Event::LocalNodeChanged { node });
    }

    fn publish(&self, event: Event) {
        // Fails if nobody has subscribed.
        let _ = self.links.events.send(event);
    }
}
