//! Resolving names: a question that a host's system asks, and an answer after a while, or none.

use std::{net::IpAddr, time::Duration};

use peerage_machine::Random;

use super::net::{chance, up_to};

/// How the resolvers of hosts behave. Chances are in parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolver {
    /// From the fastest answer to the slowest.
    pub delay: (Duration, Duration),
    /// How many questions are answered by a failure of the server.
    pub failure: u32,
    /// How many questions are never answered.
    pub silence: u32,
}

impl Resolver {
    /// Answers every question: from a cache nearby, or from far away.
    pub const GOOD: Self = Self {
        delay: (Duration::from_millis(1), Duration::from_millis(150)),
        failure: 0,
        silence: 0,
    };

    /// Cannot be reached: no question is answered.
    pub const DEAD: Self = Self { silence: 1_000_000, ..Self::GOOD };

    /// Answers every question by a failure.
    pub const BROKEN: Self = Self { failure: 1_000_000, ..Self::GOOD };
}

impl Default for Resolver {
    fn default() -> Self {
        Self::GOOD
    }
}

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The server failed.
    #[error("the name server failed")]
    Failed,
    /// There is no such name.
    #[error("no such name")]
    NotFound,
}

impl Resolver {
    /// The answer to a question for a name at these addresses, and after what time it comes; `None`
    /// if it never does.
    pub(super) fn answer(
        &self,
        random: &mut Random,
        addresses: Option<&Vec<IpAddr>>,
    ) -> Option<(Duration, Result<Vec<IpAddr>, ResolveError>)> {
        let (fastest, slowest) = self.delay;
        let delay = fastest + up_to(random, slowest.saturating_sub(fastest));
        if chance(random, self.silence) {
            return None;
        }
        if chance(random, self.failure) {
            return Some((delay, Err(ResolveError::Failed)));
        }
        Some((delay, addresses.cloned().ok_or(ResolveError::NotFound)))
    }
}
