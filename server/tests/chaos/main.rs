//! Servers over real sockets through a network that does whatever networks do: they keep their
//! rules, leak nothing and stop cleanly.
//!
//! One process of its own: it counts tasks, open files and memory.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[allow(dead_code, reason = "other tests use the rest")]
mod proxy;
mod soak;

use std::time::Duration;

use peerage::{Backoff, Limits, SecretKey};

/// The key of the test's node number `n`.
fn key(n: u8) -> SecretKey {
    SecretKey::from_bytes(&[n; 32]).unwrap()
}

/// Limits under which a dial is repeated at once.
fn impatient() -> Limits {
    let millisecond = Duration::from_millis(1);
    Limits::default()
        .with_dial_history(millisecond)
        .with_static_backoff(Backoff::constant(millisecond))
}
