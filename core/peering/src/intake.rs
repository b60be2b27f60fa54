//! How connections are taken out of the backlog, for drivers: while
//! [`Output::Accepting`](crate::envelope::Output::Accepting) says so, within these bounds.

use std::time::Duration;

/// How long a driver does not accept after accept failed for want of something of its own. The usual
/// cause is that no file descriptor is free, and then only time helps. A failure that is of one
/// connection, such as one that was reset in the backlog, holds up no other.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How many accepted connections may wait for the answer to
/// [`Input::Accepted`](crate::envelope::Input::Accepted). More stay in the backlog, where they cost
/// next to nothing.
pub const UNJUDGED: usize = 16;
