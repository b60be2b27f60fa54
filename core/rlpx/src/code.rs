//! Message ids of the `p2p` protocol, and where those of capabilities begin
//! ([rlpx.md, "p2p"
//! capability](https://github.com/ethereum/devp2p/blob/master/rlpx.md#p2p-capability)).

pub(crate) const HELLO: u64 = 0x00;
pub(crate) const DISCONNECT: u64 = 0x01;
pub(crate) const PING: u64 = 0x02;
pub(crate) const PONG: u64 = 0x03;

/// The first id that the protocol has not given a meaning to.
pub(crate) const FIRST_UNDEFINED: u64 = 0x04;

/// The first id that belongs to capabilities; those below are the `p2p` protocol's own.
pub(crate) const FIRST_SHARED: u64 = 0x10;
