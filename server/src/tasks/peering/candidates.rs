//! What the candidates machine wants done, done: between the sources and the peering machine, which
//! is the taker.

use peerage_discovery::candidates::{Input as Mixed, Output};
use peerage_node::{Node, NodeId, Source};
use peerage_peering::envelope::{Input, Skip};
use tokio::sync::watch;

use super::Task;
use crate::{
    candidates::NotTaken,
    events::Event,
    tasks::{discovery::Command, notice::Notice},
};

/// A source, and who of it is told what is wanted.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Whether it is a part of discovery: what becomes of its nodes is no news to anybody.
    is_discovery: bool,
    /// How many were wanted last.
    count: usize,
    /// As many as handles of the embedding program, and one for discovery's task.
    wants: Vec<watch::Sender<usize>>,
}

impl Task {
    pub(super) fn carry_mixed(&mut self, output: Output<Skip>) {
        match output {
            Output::AskRecord { node } => self.ask_record(node),
            Output::Candidate { node, source } => self.input(Input::Candidate { node, source }),
            Output::NotTaken { id, source, cause } => {
                tracing::debug!(%id, %source, %cause, "candidate not taken");
                if !self.sources.get(&source).is_some_and(|asked| asked.is_discovery) {
                    self.publish(Event::CandidateSkipped { id, source, cause });
                }
            }
            Output::Want { source, count } => {
                if let Some(asked) = self.sources.get_mut(&source) {
                    asked.count = count;
                    for wants in &asked.wants {
                        wants.send_replace(count);
                    }
                }
            }
        }
    }

    /// A version of discovery is on.
    pub(super) fn on_version(&mut self, version: Source, wants: watch::Sender<usize>) {
        self.on_source(version, wants);
        self.sources.entry(version).or_default().is_discovery = true;
    }

    /// There is a source, or another handle of one.
    pub(super) fn on_source(&mut self, source: Source, wants: watch::Sender<usize>) {
        let asked = self.sources.entry(source).or_default();
        wants.send_replace(asked.count);
        asked.wants.push(wants);
        self.mix(Mixed::AddSource(source));
    }

    /// A handle of a source has gone, and with the last one the source.
    pub(super) fn on_source_dropped(&mut self, source: Source) {
        let Some(asked) = self.sources.get_mut(&source) else { return };
        asked.wants.retain(|wants| wants.receiver_count() > 0);
        if asked.wants.is_empty() {
            self.sources.remove(&source);
            self.mix(Mixed::RemoveSource(source));
        }
    }

    pub(super) fn why_not_taken(&self, id: NodeId) -> Option<NotTaken> {
        let now = self.clock.now().mono;
        let why = self.candidates.why(now, &id)?;
        let ago = now.saturating_since(why.at);
        Some(NotTaken { source: why.source, cause: why.cause, ago })
    }

    fn ask_record(&mut self, node: Node) {
        let id = node.id();
        let notice = move |record| Notice::Record { id, record };
        self.ask(|done| Command::Record { node, done }, notice);
    }
}
