//! The buffer that all connections of a thread read to, as none keeps a byte of it after a poll: so
//! an idle connection has no buffer.

#![expect(
    clippy::disallowed_types,
    reason = "a buffer and no state: nothing is kept in it from one poll to the next"
)]

use std::cell::Cell;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The buffer, as long as it ever was; empty where it is not given back.
pub(super) fn take() -> Vec<u8> {
    SCRATCH.take()
}

/// For the next connection.
pub(super) fn give_back(scratch: Vec<u8>) {
    SCRATCH.set(scratch);
}
