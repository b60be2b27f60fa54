#![doc = include_str!("../README.md")]
//!
//! # What is where
//!
//! Shared by all versions: [`Table`] (whom we know), [`Lookup`] (who is closest), [`Walk`] (whom to
//! dial), [`Vote`] (where we are), [`Limiter`] (what is worth looking at), [`StoreOp`] (what to
//! keep).

mod bond;
mod entry;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod limiter;
mod lookup;
pub mod packet;
mod revalidation;
mod store;
mod table;
mod v4;
mod vote;
mod walk;

#[cfg(any(test, feature = "fuzzing"))]
mod testing;

pub use entry::Entry;
pub use limiter::{Limiter, LimiterConfig, Rate};
pub use lookup::{ALPHA, CLOSEST, Lookup};
pub use store::{SeedNode, StoreOp};
pub use table::{Added, Bucket, Refusal, Removed, Table, TableConfig};
pub use v4::{DropReason, Input, LocalChange, Output, QueryId, V4, V4Config, V4Stats};
pub use vote::{Family, Vote};
pub use walk::Walk;
