#![doc = include_str!("../README.md")]
//!
//! # What is where
//!
//! An [`Endpoint`] is the machine that a driver holds: discovery at one socket, with the versions
//! that are on ([`v4`], [`v5`]). [`Candidates`] is the machine that mixes what its versions and
//! other sources find, for whoever dials.
//!
//! For all versions: [`Table`] (whom we know), [`Lookup`] (who is closest), [`Walk`] (whom to
//! dial), [`Vote`] (where we are), [`Limiter`] (what is worth looking at), [`store`] (what to keep,
//! and when to write it).

mod answers;
mod base;
pub mod candidates;
mod config;
mod datagram;
mod endpoint;
mod entry;
mod finder;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod limiter;
mod lookup;
mod own_record;
mod revalidation;
mod rlp;
pub mod store;
mod table;
pub mod v4;
pub mod v5;
mod vote;
mod walk;

#[cfg(any(test, feature = "fuzzing"))]
mod testing;

pub use peerage_machine::{Instant, Machine, Now, Random, Seed};
pub use peerage_node::{
    Crypto, LocalRecord, NetList, Node, NodeId, Policy, PublicKey, Record, SecretKey,
    SelfDescription, Source,
};

pub use answers::{LookupResult, LookupStep, LookupTarget, PongInfo, QueryId, TableEntry, Version};
pub use candidates::Candidates;
pub use config::Config;
pub use datagram::Datagram;
pub use endpoint::{Command, Endpoint, Input, NameId, Output, Stats, Warning};
pub use entry::{Endpoints, Entry};
pub use limiter::{Limiter, LimiterConfig, Rate};
pub use lookup::{ALPHA, CLOSEST, Lookup};
pub use own_record::LocalChange;
pub use store::{SeedNode, StoreOp};
pub use table::{Added, Alive, Bucket, NoPlace, Removed, Table, TableConfig};
pub use vote::{Family, Vote};
pub use walk::Walk;

/// Whether a port is one at which nodes do not listen, as others do: nobody should make us send
/// there.
const fn is_reserved_port(port: u16) -> bool {
    port <= 1024
}
