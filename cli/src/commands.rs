//! The subcommands, one file each.

pub(crate) mod devnet;
pub(crate) mod enr;
pub(crate) mod key;
pub(crate) mod lookup;
pub(crate) mod ping;
pub(crate) mod run;
pub(crate) mod sim;
pub(crate) mod talk;
