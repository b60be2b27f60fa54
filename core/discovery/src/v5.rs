//! Discovery v5: what it does with its packets.
pub mod crypto;
pub mod packet;
