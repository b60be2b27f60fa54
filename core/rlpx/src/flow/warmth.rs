//! Whether the buffers of a connection are kept.

use std::time::Duration;

use peerage_machine::Instant;

/// How long a connection keeps its buffers after it last had a use for them.
const COOL_DOWN: Duration = Duration::from_secs(1);

/// Whether buffers are kept.
///
/// ```text
///   Cold --used--> Warm { used: false } --used--> Warm { used: true }
///    ^                |  ^                            |
///    +-- looked at ---+  +--------- looked at --------+
/// ```
#[derive(Debug)]
pub(super) enum Warmth {
    /// There are none.
    Cold,
    /// There are some, used since the last look or not, to be looked at again at this time.
    Warm { used: bool, look_at: Instant },
}

impl Warmth {
    /// The buffers are used.
    pub(super) fn on_use(&mut self, now: Instant) {
        match self {
            Self::Cold => *self = Self::Warm { used: false, look_at: now + COOL_DOWN },
            Self::Warm { used, .. } => *used = true,
        }
    }

    /// Looks at them if it is time: whether they are to be freed.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        match self {
            Self::Warm { used, look_at } if *look_at <= now => {
                if *used {
                    (*used, *look_at) = (false, now + COOL_DOWN);
                    return false;
                }
                *self = Self::Cold;
                true
            }
            Self::Cold | Self::Warm { .. } => false,
        }
    }

    /// When to look at them.
    pub(super) const fn look_at(&self) -> Option<Instant> {
        match self {
            Self::Cold => None,
            Self::Warm { look_at, .. } => Some(*look_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_freed_a_second_after_the_last_use_or_up_to_two() {
        let at = |tenths: u64| Instant::START + Duration::from_millis(100 * tenths);
        let mut warmth = Warmth::Cold;
        assert_eq!(warmth.look_at(), None);
        warmth.on_use(at(0));
        warmth.on_use(at(9));
        assert!(!warmth.look(at(9)), "it is too early");
        assert!(!warmth.look(at(10)), "they were used");
        assert_eq!(warmth.look_at(), Some(at(20)));
        assert!(warmth.look(at(20)));
        assert_eq!(warmth.look_at(), None);
        assert!(!warmth.look(at(30)), "there are none");
    }
}
