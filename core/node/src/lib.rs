//! What an Ethereum node is: its key and id, its record, the textual forms people paste, and the
//! endpoints and subnets it may be reached at.
//!
//! Not here: how a node is found (`discovery`), or whether to be connected to it (`peering`).

mod key;

pub use key::{KeyError, NodeId, PublicKey, RecoverableSignature, SecretKey};
