#![doc = include_str!("../README.md")]
//!
//! # What is where
//!
//! Shared by all versions: [`Table`] (whom we know), [`Lookup`] (who is closest), [`Walk`] (whom to
//! dial), [`Vote`] (where we are), [`Limiter`] (what is worth looking at), [`store`] (what to keep,
//! and when to write it).

mod entry;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod limiter;
mod lookup;
mod own_record;
mod revalidation;
pub mod store;
mod table;
pub mod v4;
mod vote;
mod walk;

#[cfg(any(test, feature = "fuzzing"))]
mod testing;

pub use peerage_machine::{Instant, Machine, Now, Random, Seed};
pub use peerage_node::{
    Crypto, LocalRecord, NetList, Node, NodeId, Policy, PublicKey, Record, SecretKey,
};

pub use entry::{Endpoints, Entry};
pub use limiter::{Limiter, LimiterConfig, Rate};
pub use lookup::{ALPHA, CLOSEST, Lookup};
pub use own_record::LocalChange;
pub use store::{SeedNode, StoreOp};
pub use table::{Added, Bucket, NoPlace, Removed, Table, TableConfig};
pub use v4::{Input, Output, QueryId};
pub use vote::{Family, Vote};
pub use walk::Walk;
