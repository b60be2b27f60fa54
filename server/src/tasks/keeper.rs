//! Keeps what outlives a run: gathered for a second, and written where nothing waits for it.
//!
//! Not here: what is worth keeping (`peerage-discovery`), and the [store](crate::store).

use std::time::Duration;

use peerage_discovery::{SeedNode, StoreOp};
use peerage_machine::Random;
use peerage_node::{Node, NodeId};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

use super::clock::Clock;
use crate::store::{List, NodeStore};

/// How long to gather: each write waits for the disk, and the loss of a second is nothing to
/// discovery.
const GATHER: Duration = Duration::from_secs(1);

/// How much is gathered at most: a transaction of a few milliseconds.
const BATCH: usize = 256;

/// What may wait for a slow disk; more is lost.
const WAITING: usize = 4_096;

/// How often to drop what is too old.
const PRUNE: Duration = Duration::from_secs(60 * 60);

/// How many nodes discovery begins with, at most; as many as go-ethereum.
const SEEDS: usize = 30;

/// How long ago a seed may have answered: as for go-ethereum, five days.
const SEED_AGE: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// Something to be kept, or to be told of what is.
enum Keep {
    List(List, Box<Node>),
    Op(Box<StoreOp>),
    Seeds(oneshot::Sender<Vec<SeedNode>>),
    Unlist(List, NodeId),
}

/// Hands over what is to be kept. What is kept ends when the last of these is dropped.
#[derive(Clone)]
pub(crate) struct Keeper(mpsc::Sender<Keep>);

impl Keeper {
    /// Something that discovery wants kept.
    pub(crate) fn op(&self, op: StoreOp) {
        self.keep(Keep::Op(Box::new(op)));
    }

    /// A node that the user adds to a list.
    pub(crate) fn list(&self, list: List, node: Node) {
        self.keep(Keep::List(list, Box::new(node)));
    }

    /// A node that the user takes off a list.
    pub(crate) fn unlist(&self, list: List, id: NodeId) {
        self.keep(Keep::Unlist(list, id));
    }

    /// Nodes to begin with.
    pub(crate) async fn seeds(&self) -> Vec<SeedNode> {
        let (done, seeds) = oneshot::channel();
        self.keep(Keep::Seeds(done));
        seeds.await.unwrap_or_default()
    }

    fn keep(&self, keep: Keep) {
        if self.0.try_send(keep).is_err() {
            tracing::warn!("the disk is too slow or has failed: something is not kept");
        }
    }
}

/// The task that keeps.
pub(crate) struct Task {
    keeps: mpsc::Receiver<Keep>,
    state: State,
}

/// What goes to the thread that may block, and comes back.
struct State {
    store: Box<dyn NodeStore>,
    clock: Clock,
    random: Random,
    batch: Vec<Keep>,
}

impl Task {
    pub(crate) fn new(store: Box<dyn NodeStore>, clock: Clock, random: Random) -> (Self, Keeper) {
        let (sender, keeps) = mpsc::channel(WAITING);
        let state = State { store, clock, random, batch: Vec::new() };
        (Self { keeps, state }, Keeper(sender))
    }

    /// Keeps until nobody is left who has something to be kept, and everything is.
    pub(crate) async fn run(self) {
        let Self { mut keeps, mut state } = self;
        let clock = state.clock;
        let mut prune = clock.now().mono;
        loop {
            let is_last = gather(clock, &mut keeps, &mut state.batch).await;
            let is_due = prune <= clock.now().mono;
            if is_due {
                prune = clock.after(PRUNE);
            }
            // Dropped there too, as closing a file may block.
            let written = spawn_blocking(move || {
                state.write(is_due);
                (!is_last).then_some(state)
            });
            state = match written.await {
                Ok(Some(state)) => state,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "the node database failed: nothing is kept any more");
                    return;
                }
            };
        }
    }
}

/// Fills `batch` with what comes in a second. Whether nothing will ever come again.
async fn gather(clock: Clock, keeps: &mut mpsc::Receiver<Keep>, batch: &mut Vec<Keep>) -> bool {
    let mut deadline = None;
    while batch.len() < BATCH {
        let next = match deadline {
            None => keeps.recv().await,
            Some(deadline) => match clock.timeout_at(deadline, keeps.recv()).await {
                Ok(next) => next,
                Err(_) => return false,
            },
        };
        let Some(keep) = next else { return true };
        // Somebody waits for these.
        let is_urgent = matches!(keep, Keep::Seeds(_));
        batch.push(keep);
        if is_urgent {
            return false;
        }
        deadline.get_or_insert_with(|| clock.after(GATHER));
    }
    false
}

impl State {
    fn write(&mut self, is_prune_due: bool) {
        let now = self.clock.now().unix;
        let mut ops = Vec::with_capacity(self.batch.len());
        let mut asked = Vec::new();
        for keep in std::mem::take(&mut self.batch) {
            let listed = match keep {
                Keep::List(list, node) => self.store.add_listed(list, &node),
                Keep::Op(op) => {
                    ops.push(*op);
                    continue;
                }
                Keep::Seeds(done) => {
                    asked.push(done);
                    continue;
                }
                Keep::Unlist(list, id) => self.store.remove_listed(list, &id),
            };
            if let Err(error) = listed {
                tracing::warn!(%error, "a list of nodes was not kept");
            }
        }
        if !ops.is_empty()
            && let Err(error) = self.store.apply(now, &ops)
        {
            tracing::warn!(%error, "what discovery knows was not kept");
        }
        if is_prune_due && let Err(error) = self.store.prune(now) {
            tracing::warn!(%error, "the node database could not be tidied up");
        }
        for done in asked {
            let seeds = self.store.seeds(now, SEED_AGE, SEEDS, &mut self.random);
            let seeds = seeds.unwrap_or_else(|error| {
                tracing::warn!(%error, "nodes of the last run could not be read");
                Vec::new()
            });
            // Fails if whoever asked has gone.
            // Fails if whoever asked has gone.
            let _ = done.send(seeds);
        }
    }
}
