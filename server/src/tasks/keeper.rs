//! Keeps what outlives a run: carries out what the machine wants written, where nothing waits for
//! it.
//!
//! Not here: what is worth keeping, when it is written and how much at once
//! (`peerage-discovery`), and the [store](crate::store).

use std::collections::VecDeque;

use peerage_discovery::{
    SeedNode, StoreOp,
    store::{Batch, Input, Keeping, List, Output, Step},
};
use peerage_machine::{Machine as _, Seed};
use peerage_node::{Node, NodeId};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinError, JoinHandle, spawn_blocking},
};

use super::clock::Clock;
use crate::store::NodeStore;

/// Hands over what is to be kept. What is kept ends when the last of these is dropped.
#[derive(Clone)]
pub(crate) struct Keeper(mpsc::UnboundedSender<Keep>);

/// Something to be kept, or to be told of what is.
enum Keep {
    Input(Input),
    Seeds(oneshot::Sender<Vec<SeedNode>>),
}

impl Keeper {
    /// Something that discovery wants kept.
    pub(crate) fn op(&self, op: StoreOp) {
        self.keep(Keep::Input(Input::Op(op)));
    }

    /// A node that the user adds to a list.
    pub(crate) fn list(&self, list: List, node: Box<Node>) {
        self.keep(Keep::Input(Input::AddListed { list, node }));
    }

    /// A node that the user takes off a list.
    pub(crate) fn unlist(&self, list: List, id: NodeId) {
        self.keep(Keep::Input(Input::RemoveListed { list, id }));
    }

    /// Nodes to begin with.
    pub(crate) async fn seeds(&self) -> Vec<SeedNode> {
        let (done, seeds) = oneshot::channel();
        self.keep(Keep::Seeds(done));
        seeds.await.unwrap_or_default()
    }

    fn keep(&self, keep: Keep) {
        if self.0.send(keep).is_err() {
            tracing::warn!("the node database has failed: something is not kept");
        }
    }
}

/// The task that keeps.
pub(crate) struct Task {
    clock: Clock,
    machine: Keeping,
    /// Unbounded, as taking from it never waits for the disk; the machine bounds what does.
    keeps: mpsc::UnboundedReceiver<Keep>,
    /// Who waits for seeds, in the order of their questions.
    asked: VecDeque<oneshot::Sender<Vec<SeedNode>>>,
    store: Store,
}

/// Where the store is.
///
/// ```text
///          a batch is to be written
///   Here ----------------------------> Away
///        <----------------------------
///          it is written
/// ```
enum Store {
    Here(Box<dyn NodeStore>),
    /// On a thread that may block.
    Away(JoinHandle<Written>),
}

/// What comes back from that thread.
struct Written {
    store: Box<dyn NodeStore>,
    /// If they were asked for.
    seeds: Option<Vec<SeedNode>>,
}

impl Task {
    pub(crate) fn new(store: Box<dyn NodeStore>, clock: Clock, seed: Seed) -> (Self, Keeper) {
        let (sender, keeps) = mpsc::unbounded_channel();
        let machine = Keeping::new(seed);
        let asked = VecDeque::new();
        (Self { clock, machine, keeps, asked, store: Store::Here(store) }, Keeper(sender))
    }

    /// Keeps until nobody is left who has something to be kept, and everything is.
    pub(crate) async fn run(self) {
        let Self { clock, mut machine, mut keeps, mut asked, mut store } = self;
        let mut has_ended = false;
        loop {
            while let Some(output) = machine.poll_output() {
                match output {
                    Output::Lost => tracing::warn!("the disk is too slow: something is not kept"),
                    Output::Stopped => return store.close().await,
                    Output::Write(batch) => store = store.write(batch),
                }
            }
            let wake = machine.poll_timeout();
            let input = tokio::select! {
                written = store.written() => match written {
                    Ok(Written { store: back, seeds }) => {
                        store = Store::Here(back);
                        if let Some(seeds) = seeds && let Some(done) = asked.pop_front() {
                            // Fails if who asked has gone.
                            let _ = done.send(seeds);
                        }
                        Input::Written
                    }
                    Err(error) => {
                        tracing::error!(%error, "the node database failed: nothing is kept any more");
                        return;
                    }
                },
                keep = keeps.recv(), if !has_ended => match keep {
                    Some(Keep::Input(input)) => input,
                    Some(Keep::Seeds(done)) => {
                        asked.push_back(done);
                        Input::WantSeeds
                    }
                    None => {
                        has_ended = true;
                        Input::Stop
                    }
                },
                () = clock.until(wake) => {
                    machine.handle_timeout(clock.now());
                    continue;
                }
            };
            machine.handle_input(clock.now(), input);
        }
    }
}

impl Store {
    /// Begins to write.
    fn write(self, batch: Batch) -> Self {
        match self {
            Self::Here(mut store) => Self::Away(spawn_blocking(move || {
                let seeds = write(&mut *store, batch);
                Written { store, seeds }
            })),
            Self::Away(_) => unreachable!("because one batch is written at a time"),
        }
    }

    /// Waits until a batch is written; for ever, if none is.
    ///
    /// Cancel safe.
    async fn written(&mut self) -> Result<Written, JoinError> {
        match self {
            Self::Here(_) => std::future::pending().await,
            Self::Away(written) => written.await,
        }
    }

    /// Lets go of the store. Closing a file may block.
    async fn close(self) {
        // Fails if the runtime ends, which closes it too.
        let _ = spawn_blocking(move || drop(self)).await;
    }
}

/// Carries out a batch. The seeds, if they were asked for: none where they cannot be read.
fn write(store: &mut dyn NodeStore, batch: Batch) -> Option<Vec<SeedNode>> {
    let now = batch.unix;
    let mut seeds = None;
    for step in batch.steps {
        let (done, what) = match step {
            Step::AddListed { list, node } => {
                (store.add_listed(list, &node).map(drop), "a list of nodes was not kept")
            }
            Step::Apply(ops) => (store.apply(now, &ops), "what discovery knows was not kept"),
            Step::Prune => (store.prune(now).map(drop), "the node database could not be tidied up"),
            Step::RemoveListed { list, id } => {
                (store.remove_listed(list, &id).map(drop), "a list of nodes was not kept")
            }
            Step::Seeds { max_age, count, mut random } => {
                let chosen = store.seeds(now, max_age, count, &mut random);
                let chosen = chosen.map(|chosen| seeds.insert(chosen)).map(drop);
                seeds.get_or_insert_default();
                (chosen, "nodes of the last run could not be read")
            }
        };
        if let Err(error) = done {
            tracing::warn!(%error, "{what}");
        }
    }
    seeds
}
