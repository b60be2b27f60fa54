//! The clocks of a host: they drift, the wall clock jumps, and the monotonic one begins anew at
//! each start.

use std::time::Duration;

use peerage_machine::{Instant, Now};

/// What the wall clocks of a new world show, as UNIX time: the 15th of January 2027, 08:00.
const EPOCH: Duration = Duration::from_secs(1_800_000_000);

const MILLION: i128 = 1_000_000;

/// The two clocks of one host, as functions of the world's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostClock {
    /// When the host started last: its monotonic clock was zero then.
    started: Instant,
    /// How many microseconds a second of the world is too long for this host.
    drift_ppm: i32,
    /// How far the wall clock is off, in nanoseconds.
    offset: i128,
}

impl HostClock {
    pub(crate) const fn new(drift_ppm: i32) -> Self {
        Self { started: Instant::START, drift_ppm, offset: 0 }
    }

    /// The host starts (again) at `at`.
    pub(crate) const fn start(&mut self, at: Instant) {
        self.started = at;
    }

    /// The wall clock jumps by so many seconds.
    pub(crate) const fn jump(&mut self, seconds: i64) {
        self.offset += seconds as i128 * 1_000_000_000;
    }

    /// Both clocks at the world's time `at`.
    pub(crate) fn now(&self, at: Instant) -> Now {
        let mono = self.stretch(at.saturating_since(self.started).as_nanos());
        let elapsed = self.stretch(u128::from(at.as_nanos()));
        let base = i128::try_from(EPOCH.as_nanos()).expect("because the epoch is small");
        let unix = base + i128::try_from(elapsed).unwrap_or(i128::MAX / 2) + self.offset;
        Now { mono: Instant::START + nanos(mono), unix: nanos(u128::try_from(unix).unwrap_or(0)) }
    }

    /// The first moment of the world at which the monotonic clock shows `mono` or more.
    pub(crate) fn world(&self, mono: Instant) -> Instant {
        let per_million = (MILLION + i128::from(self.drift_ppm)).unsigned_abs();
        let scaled = u128::from(mono.as_nanos()) * MILLION.unsigned_abs();
        self.started + nanos(scaled.div_ceil(per_million))
    }

    fn stretch(&self, span: u128) -> u128 {
        let per_million = (MILLION + i128::from(self.drift_ppm)).unsigned_abs();
        span * per_million / MILLION.unsigned_abs()
    }
}

fn nanos(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_wake_is_never_too_early_and_never_a_microsecond_late(
            drift in -500i32..500,
            started in 0u64..1 << 50,
            mono in 0u64..1 << 55,
        ) {
            let mut clock = HostClock::new(drift);
            clock.start(Instant::from_nanos(started));
            let at = clock.world(Instant::from_nanos(mono));
            let shown = clock.now(at).mono.as_nanos();
            prop_assert!((mono..mono + 1_000).contains(&shown), "{} for {}", shown, mono);
        }
    }

    #[test]
    fn the_wall_clock_jumps_and_the_other_does_not() {
        let mut clock = HostClock::new(0);
        let at = Instant::START + Duration::from_secs(10);
        let before = clock.now(at);
        clock.jump(-3_600);
        let after = clock.now(at);
        assert_eq!(after.mono, before.mono);
        assert_eq!(before.unix - after.unix, Duration::from_secs(3_600));
    }
}
