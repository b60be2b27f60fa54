//! What an Ethereum node is: its key and id, its record, the textual forms people paste, and the
//! endpoints and subnets it may be reached at; and the policy of who may be talked to.
//!
//! Not here: how a node is found (`discovery`), or whether to be connected to it (`peering`).

mod distance;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod key;
mod local;
mod netlist;
mod node;
mod policy;
mod reach;
mod record;
mod subnet;

pub use key::{Crypto, EphemeralKey, KeyError, NodeId, PublicKey, RecoverableSignature, SecretKey};
pub use local::{LocalRecord, LocalRecordError};
pub use netlist::{NetList, NetListError};
pub use node::{Node, ParseNodeError};
pub use policy::{Forbidden, Policy};
pub use reach::{RelayError, check_relay, is_lan, is_special};
pub use record::{MAX_RECORD_SIZE, Record, RecordError};
pub use subnet::{Subnet, SubnetCounts};
