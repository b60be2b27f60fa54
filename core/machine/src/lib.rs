#![doc = include_str!("../README.md")]
//!
//! # Rules
//!
//! **The drain rule.** After every call that takes `&mut self` (an input, a timeout, a command),
//! the driver drains [`Machine::poll_output`] to `None` and then asks [`Machine::poll_timeout`]
//! again.
//!
//! **The same seed, the same trace.** With the same seed and the same inputs a machine gives the
//! same outputs, byte for byte: it reads no clock, draws from no global generator, and iterates
//! over no unordered map. `core/clippy.toml` enforces what a linter can see of that.

mod expiring;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod memory;
mod random;
mod time;
mod timers;

pub use expiring::ExpiringMap;
pub use memory::{deque_memory, list_bound, tree_memory, vec_memory};
pub use random::{Random, Seed};
pub use time::{Instant, Now};
pub use timers::TimerTable;

/// A value that decides and does no I/O; see the [crate documentation](crate) for the drain rule.
pub trait Machine {
    /// What the machine is told: borrowed bytes, commands, results of what it asked for.
    type Input<'a>;
    /// What the machine wants done: sends, events, requests.
    type Output;

    /// Tells the machine that `input` happened at `now`.
    fn handle_input(&mut self, now: Now, input: Self::Input<'_>);

    /// Fires everything that is due at `now`. Harmless when nothing is.
    fn handle_timeout(&mut self, now: Now);

    /// The next thing to be done, or `None` when there is nothing left to do.
    fn poll_output(&mut self) -> Option<Self::Output>;

    /// When to call [`handle_timeout`](Self::handle_timeout) next; `None` is never.
    fn poll_timeout(&self) -> Option<Instant>;
}
