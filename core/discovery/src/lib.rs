//! Finding Ethereum nodes, with no I/O: the table and lookups that every version shares, and discovery v4.

pub mod packet;
