//! Time as machines know it: an argument, never a reading.

use std::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

/// A moment on the driver's monotonic clock: nanoseconds since the driver started.
///
/// Arithmetic saturates: a moment past the end of the clock (584 years) is the end of the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment the driver started.
    pub const START: Self = Self(0);

    /// The moment `nanos` nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long before `self` the moment `earlier` was; zero if it was not before.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:.6}s", Duration::from_nanos(self.0).as_secs_f64())
    }
}

/// Both clocks, read together once by the driver: timers run on `mono`, packets and records that
/// carry absolute time use `unix`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock. Never goes back.
    pub mono: Instant,
    /// Time since the UNIX epoch. May jump either way; nothing but packets may depend on it.
    pub unix: Duration,
}

impl Now {
    /// The time `span` later, on both clocks.
    pub fn later(self, span: Duration) -> Self {
        Self { mono: self.mono + span, unix: self.unix.saturating_add(span) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends_of_the_clock() {
        let end = Instant::from_nanos(u64::MAX);
        assert_eq!(end + Duration::MAX, end);
        assert_eq!(Instant::START - Duration::from_secs(1), Instant::START);
        assert_eq!(Instant::START.saturating_since(end), Duration::ZERO);
    }
}
