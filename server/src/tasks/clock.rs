//! The driver's clocks: the only place where time is read.
//!
//! `server/clippy.toml` bans reading it elsewhere. Waiting for a span, as `tokio::time::sleep` and
//! `timeout` do, is no reading.

#![expect(clippy::disallowed_methods, reason = "this is the place")]

use std::time::{Duration, SystemTime};

use peerage_machine::{Instant, Now};
use tokio::time::{Sleep, error::Elapsed};

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
            mono: Instant::START + self.elapsed(),
            // A clock before 1970 is as good as none.
            unix: unix.unwrap_or(Duration::ZERO),
        }
    }

    /// How long ago the clock started.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The moment that is `span` from now.
    pub(crate) fn after(&self, span: Duration) -> Instant {
        Instant::START + self.elapsed() + span
    }

    /// Waits until then; for ever, if it is never.
    pub(crate) async fn until(&self, at: Option<Instant>) {
        match at {
            Some(at) => self.alarm(at).await,
            None => std::future::pending().await,
        }
    }

    /// What `future` gives, if it gives it until then.
    pub(crate) async fn timeout_at<F: Future>(
        &self,
        at: Instant,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        tokio::time::timeout_at(self.tokio(at), future).await
    }

    /// An alarm that rings then.
    pub(crate) fn alarm(&self, at: Instant) -> Sleep {
        tokio::time::sleep_until(self.tokio(at))
    }

    /// The moment on tokio's clock.
    pub(crate) fn tokio(&self, at: Instant) -> tokio::time::Instant {
        // Tokio counts in milliseconds and panics beyond its end; a year is as good as never.
        let span = at.saturating_since(Instant::START).min(Duration::from_secs(365 * 86_400));
        self.start + span
    }
}
