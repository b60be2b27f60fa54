//! The server as its users see it: over loopback TCP with ports that the system chooses, or over
//! pipes where time matters.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy cannot know")]
#![expect(clippy::disallowed_methods, reason = "tests measure how long something takes")]

mod candidates;
mod common;
mod connect;
mod discovery;
mod lifecycle;
mod limits;
mod locate;
mod lossy;
mod protocols;
mod streams;
