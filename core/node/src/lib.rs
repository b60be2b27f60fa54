#![doc = include_str!("../README.md")]

mod description;
mod distance;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod key;
mod list;
mod local;
mod netlist;
mod node;
mod policy;
mod reach;
mod record;
mod source;
mod subnet;

pub use peerage_machine::{Instant, Random};

pub use description::SelfDescription;
pub use key::{Crypto, EphemeralKey, KeyError, NodeId, PublicKey, RecoverableSignature, SecretKey};
pub use list::List;
pub use local::{LocalRecord, LocalRecordError};
pub use netlist::{NetList, NetListError};
pub use node::{Node, ParseNodeError};
pub use policy::{Forbidden, Policy};
pub use reach::{RelayError, check_relay, is_lan, is_special};
pub use record::{MAX_RECORD_SIZE, Record, RecordError};
pub use source::Source;
pub use subnet::{Subnet, SubnetCounts};
