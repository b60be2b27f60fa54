//! What runs: the tasks of a server, and what they share.
//!
//! A task moves bytes, datagrams, time, names and rows to and from a machine, and decides nothing.
//! No task knows the description of a server, nor the handles of one that runs: `start` makes the
//! tasks and ties them together.

pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod discovery;
pub(crate) mod keeper;
pub(crate) mod listener;
pub(crate) mod mailbox;
pub(crate) mod names;
pub(crate) mod notice;
pub(crate) mod peering;
pub(crate) mod protocol;
pub(crate) mod queue;
pub(crate) mod roster;
