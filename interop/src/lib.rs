//! The harness of the interop tests: our `peerage` command and nodes that others wrote, in one
//! network namespace, driven by JSON lines.
//!
//! ```no_run
//! use peerage_interop::{Fill, Foreign, Implementation, Netns, Peerage};
//!
//! let Some(net) = Netns::for_test(&[Implementation::Ethereumjs]) else { return };
//! let mut ours = Peerage::run(&net, &["--echo", "demo/1/4"]);
//! let mut theirs = Foreign::spawn(&net, Implementation::Ethereumjs, &[]);
//! theirs.dial(&ours.enode());
//! theirs.event("connect");
//! theirs.round_trip("demo", 0x01, 1024, Fill::Noise);
//! ```
//!
//! Not for tests of our own code alone, but for those across a bad [`Link`]: others lie in the
//! crate they test. `interop/README.md` says what runs here and how to install it.
#![forbid(unsafe_code)]

mod discovery;
mod discovery_v5;
mod foreign;
mod link;
mod netns;
mod peerage;
mod process;

pub use discovery::public_key;
pub use discovery_v5::{ECHO, Listening, Nodes, distance};
pub use foreign::{Fill, Foreign, Implementation};
pub use link::Link;
pub use netns::Netns;
pub use peerage::{Exit, Peerage};
pub use process::{Process, text, until};
