//! How long to wait after so many failures: exponential, bounded, with jitter.

use std::time::Duration;

use peerage_machine::Random;

use crate::Backoff;

impl Backoff {
    /// The wait after `failures` failures in a row.
    pub(super) fn wait(&self, failures: u32, random: &mut Random) -> Duration {
        let growth = self.factor.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let wait = self.base.saturating_mul(growth).min(self.max);
        let spread = wait.saturating_mul(u32::from(self.jitter_percent)) / 100;
        let jitter = random.below(u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX));
        wait.saturating_add(Duration::from_nanos(jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_the_bound_and_jitter_only_adds_its_percentage() {
        let backoff = Backoff::default();
        let mut random = Random::from_seed([3; 32]);
        for (failures, seconds) in
            [(0, 35), (1, 35), (2, 70), (3, 140), (4, 280), (5, 300), (33, 300), (u32::MAX, 300)]
        {
            let least = Duration::from_secs(seconds);
            for _ in 0..50 {
                let wait = backoff.wait(failures, &mut random);
                assert!(wait >= least && wait < least + least / 5, "{failures}: {wait:?}");
            }
        }
    }

    #[test]
    fn two_nodes_with_one_row_of_failures_come_back_apart() {
        let backoff = Backoff::default();
        let [a, b] = [[1; 32], [2; 32]].map(|seed| backoff.wait(1, &mut Random::from_seed(seed)));
        assert_ne!(a, b);
    }

    #[test]
    fn without_jitter_the_wait_is_exact() {
        let backoff = Backoff { jitter_percent: 0, ..Backoff::default() };
        assert_eq!(backoff.wait(2, &mut Random::from_seed([0; 32])), Duration::from_secs(70));
    }
}
