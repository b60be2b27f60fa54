//! The driver's clocks: the only place where time is read.

use std::time::{Duration, SystemTime};

use peerage_machine::{Instant, Now};

/// Tells machines the time. Follows tokio's clock, so that tests can hold it still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: tokio::time::Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { start: tokio::time::Instant::now() }
    }

    /// Both clocks, read together.
    pub(crate) fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Now {
            mono: Instant::START + self.start.elapsed(),
            // A clock before 1970 is as good as none.
            unix: unix.unwrap_or(Duration::ZERO),
        }
    }

    /// The moment on tokio's clock.
    pub(crate) fn tokio(&self, at: Instant) -> tokio::time::Instant {
        // Tokio counts in milliseconds and panics beyond its end; a year is as good as never.
        let span = at.saturating_since(Instant::START).min(Duration::from_secs(365 * 86_400));
        self.start + span
    }
}
