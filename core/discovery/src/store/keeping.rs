//! When to write what is to be kept, and how much at once.
//!
//! Not here: what a write does to rows ([`rows`](super::rows)), and the file that they lie in. A
//! driver carries out each [`Batch`], and says when it is written.

use std::{collections::VecDeque, time::Duration};

use peerage_machine::{Instant, Machine, Now, Random, Seed};
use peerage_node::{Node, NodeId};

use super::{List, StoreOp};

/// How long to gather: each write waits for the disk, and the loss of a second is nothing to
/// discovery.
const GATHER: Duration = Duration::from_secs(1);

/// How much is written at once: a transaction of a few milliseconds.
const BATCH: usize = 256;

/// What may wait for a slow disk; more is lost.
const WAITING: usize = 4_096;

/// For how much that waits the room is kept when nothing does.
const IDLE: usize = 8;

/// How often to drop what is too old.
const PRUNE: Duration = Duration::from_secs(60 * 60);

/// How long ago a seed may have answered: as for go-ethereum, five days.
const SEED_AGE: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// Gathers what is to be kept, and says when to write how much of it.
///
/// Time is that of the monotonic clock, but for what is written, which is dated by UNIX.
#[derive(Debug)]
pub struct Keeping {
    random: Random,
    state: State,
    /// At most [`WAITING`] operations, which strangers cause; and what the user and discovery want,
    /// which is not lost because of those.
    waiting: VecDeque<Keep>,
    /// When to drop what is too old. Not a reason to write, as what nobody reads may stay.
    prune_at: Instant,
    outputs: VecDeque<Output>,
}

/// ```text
///                          a second has passed, a batch is full,
///         something        or discovery waits for seeds
///   Idle -----------> Gathering ----------------------------------> Writing
///    |  ^                  | ^                                       | |  |
///    |  |                  | +---- written, and something waits -----+ |  |
///    |  +------------------|------ written, and nothing waits ---------+  |
///    |                     |                                              |
///    | stop                | stop: Writing                   written, and |
///    v                     v                                      stopped |
///   Stopped <-------------------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing waits.
    Idle,
    /// Something waits for more, until then at the longest.
    Gathering(Instant),
    /// A batch is being written. What comes meanwhile waits.
    Writing(Then),
    /// Nothing is kept any more.
    Stopped,
}

/// What follows a write.
#[derive(Clone, Copy, Debug)]
enum Then {
    GoOn,
    /// Writes of what waits, and the end.
    Stop,
}

/// Something to be kept, or to be told of what is.
#[derive(Debug)]
enum Keep {
    /// A change of a list.
    Listed(Step),
    Op(StoreOp),
    Seeds,
}

/// What [`Keeping`] is told.
#[derive(Debug)]
pub enum Input {
    /// The user adds a node to a list.
    AddListed {
        /// Which.
        list: List,
        /// The node.
        node: Box<Node>,
    },
    /// Discovery wants something kept.
    Op(StoreOp),
    /// The user takes a node off a list.
    RemoveListed {
        /// Which.
        list: List,
        /// The node.
        id: NodeId,
    },
    /// The run ends: what waits is written at once.
    Stop,
    /// Discovery waits for nodes to begin with. Never lost, unless the run has ended.
    WantSeeds,
    /// The last batch is written, or could not be.
    Written,
}

/// What [`Keeping`] wants done.
#[derive(Debug)]
pub enum Output {
    /// Something was not kept, as the disk is too slow, or the run has ended.
    Lost,
    /// The run has ended, and everything is written.
    Stopped,
    /// To be written, and then told by [`Input::Written`]. There is no other batch until then.
    Write(Batch),
}

/// What is written at once.
#[derive(Debug)]
pub struct Batch {
    /// The time that it is written at, since the UNIX epoch.
    pub unix: Duration,
    /// To be done in this order. One that fails stops no other.
    pub steps: Vec<Step>,
}

/// A part of a batch.
#[derive(Debug)]
pub enum Step {
    /// Put a node on a list.
    AddListed {
        /// Which.
        list: List,
        /// The node.
        node: Box<Node>,
    },
    /// Do what these say, all or none: [`rows::apply`](super::rows::apply).
    Apply(Vec<StoreOp>),
    /// Drop what is too old: [`rows::prune`](super::rows::prune).
    Prune,
    /// Take a node off a list.
    RemoveListed {
        /// Which.
        list: List,
        /// The node.
        id: NodeId,
    },
    /// Choose seeds, and tell discovery: [`rows::seeds`](super::rows::seeds). At most one in a
    /// batch, and the last.
    Seeds {
        /// How long ago a seed may have answered.
        max_age: Duration,
        /// How many, at most.
        count: usize,
        /// Chooses.
        random: Box<Random>,
    },
}

impl Keeping {
    /// How many nodes discovery begins with, at most; as many as go-ethereum.
    pub const SEEDS: usize = 30;

    /// Nothing waits, and the first write drops what is too old.
    pub fn new(seed: Seed) -> Self {
        Self {
            random: Random::from_seed(seed),
            state: State::Idle,
            waiting: VecDeque::new(),
            prune_at: Instant::START,
            outputs: VecDeque::new(),
        }
    }

    fn on_keep(&mut self, now: Now, keep: Keep) {
        let is_full = self.waiting.len() >= WAITING && matches!(keep, Keep::Op(_));
        if is_full || matches!(self.state, State::Stopped) {
            self.outputs.push_back(Output::Lost);
            return;
        }
        let is_awaited = matches!(keep, Keep::Seeds);
        self.waiting.push_back(keep);
        if matches!(self.state, State::Idle) {
            self.state = State::Gathering(now.mono + GATHER);
        }
        self.write_if_due(now, is_awaited);
    }

    fn on_stop(&mut self, now: Now) {
        match self.state {
            State::Idle | State::Gathering(_) => self.write_rest(now),
            State::Writing(_) => self.state = State::Writing(Then::Stop),
            State::Stopped => {}
        }
    }

    fn on_written(&mut self, now: Now) {
        match self.state {
            State::Writing(Then::GoOn) if self.waiting.is_empty() => self.state = State::Idle,
            State::Writing(Then::GoOn) => {
                self.state = State::Gathering(now.mono + GATHER);
                let is_awaited = self.waiting.iter().any(|keep| matches!(keep, Keep::Seeds));
                self.write_if_due(now, is_awaited);
            }
            State::Writing(Then::Stop) => self.write_rest(now),
            State::Idle | State::Gathering(_) | State::Stopped => {}
        }
    }

    /// Writes, if there is no reason to gather any longer.
    fn write_if_due(&mut self, now: Now, is_awaited: bool) {
        let State::Gathering(until) = self.state else { return };
        if until <= now.mono || is_awaited || self.waiting.len() >= BATCH {
            self.write(now, Then::GoOn);
        }
    }

    /// Writes what is left, and stops if nothing is.
    fn write_rest(&mut self, now: Now) {
        if self.waiting.is_empty() && self.prune_at > now.mono {
            self.state = State::Stopped;
            self.outputs.push_back(Output::Stopped);
        } else {
            self.write(now, Then::Stop);
        }
    }

    fn write(&mut self, now: Now, then: Then) {
        self.state = State::Writing(then);
        let (mut steps, mut ops, mut seeds) = (Vec::new(), Vec::new(), None);
        for _ in 0..BATCH {
            match self.waiting.pop_front() {
                None => break,
                Some(Keep::Listed(step)) => steps.push(step),
                Some(Keep::Op(op)) => ops.push(op),
                Some(Keep::Seeds) => {
                    let random = Box::new(Random::from_seed(self.random.fork()));
                    seeds = Some(Step::Seeds { max_age: SEED_AGE, count: Self::SEEDS, random });
                    break;
                }
            }
        }
        if self.waiting.is_empty() && self.waiting.capacity() > IDLE {
            self.waiting = VecDeque::new();
        }
        if !ops.is_empty() {
            steps.push(Step::Apply(ops));
        }
        if self.prune_at <= now.mono {
            self.prune_at = now.mono + PRUNE;
            steps.push(Step::Prune);
        }
        steps.extend(seeds);
        self.outputs.push_back(Output::Write(Batch { unix: now.unix, steps }));
    }
}

impl Machine for Keeping {
    type Input<'a> = Input;
    type Output = Output;

    fn handle_input(&mut self, now: Now, input: Input) {
        match input {
            Input::AddListed { list, node } => {
                self.on_keep(now, Keep::Listed(Step::AddListed { list, node }));
            }
            Input::Op(op) => self.on_keep(now, Keep::Op(op)),
            Input::RemoveListed { list, id } => {
                self.on_keep(now, Keep::Listed(Step::RemoveListed { list, id }));
            }
            Input::Stop => self.on_stop(now),
            Input::WantSeeds => self.on_keep(now, Keep::Seeds),
            Input::Written => self.on_written(now),
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        self.write_if_due(now, false);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Gathering(until) => Some(until),
            State::Idle | State::Writing(_) | State::Stopped => None,
        }
    }
}

#[cfg(test)]
mod tests;
