//! How connections come in, for drivers: out of the backlog while
//! [`Output::Accepting`](crate::envelope::Output::Accepting) says so, and out of dials, within
//! these bounds.

use std::time::Duration;

/// How long a driver does not accept after accept failed for want of something of its own. The
/// usual cause is that no file descriptor is free, and then only time helps. A failure that is of
/// one connection, such as one that was reset in the backlog, holds up no other.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How long a dial may take, all of its addresses together, if a user says nothing else: as long as
/// a system takes to repeat the first packet of a stream three times.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(15);

/// How many accepted connections may wait for the answer to
/// [`Input::Accepted`](crate::envelope::Input::Accepted). More stay in the backlog, where they cost
/// next to nothing.
pub const UNJUDGED: usize = 16;
