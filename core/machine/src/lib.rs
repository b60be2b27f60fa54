//! The contract that every Peerage machine keeps, and the few things a machine may know of the
//! outside: the time it is told, timers it hopes for, and randomness it was seeded with.
//!
//! A *machine* is a value that decides and does no I/O. Its driver tells it what happened, then
//! drains what it wants done:
//!
//! ```text
//!   driver                                  machine
//!     | handle_input(now, bytes/command) ---->|
//!     | handle_timeout(now) ----------------->|
//!     |<---- poll_output() until None --------|   sends, events, requests
//!     |<---- poll_timeout() ------------------|   when to call handle_timeout next
//! ```
//!
//! **The drain rule.** After every call that takes `&mut self` (an input, a timeout, a command),
//! the driver drains [`Machine::poll_output`] to `None` and then asks [`Machine::poll_timeout`]
//! again.
//!
//! **The same seed, the same trace.** With the same seed and the same inputs a machine gives the
//! same outputs, byte for byte: it reads no clock, draws from no global generator, and iterates
//! over no unordered map. `core/clippy.toml` enforces what a linter can see of that.
//!
//! This crate is not a runtime: drivers live in the `peerage` server (sockets) and in the
//! simulator.

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
