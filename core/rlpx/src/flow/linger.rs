//! The end of a stream whose goodbye has been written.

use std::time::Duration;

use peerage_machine::{Instant, Now};

/// How long the peer has to hang up. Short, as it costs a file descriptor and no slot.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much is read and thrown away meanwhile.
const APPETITE: usize = 1 << 20;

/// A wait for the peer to hang up, so that it reads our reason.
///
/// A socket that is closed with bytes unread is reset at once, and a reset makes the peer's system
/// throw away what the peer has not read yet: the reason. So a driver says that nothing more is
/// coming (it shuts its half of the stream), and reads and throws away what the peer still sends,
/// until it hangs up or the wait is over.
#[derive(Debug)]
pub struct Linger {
    deadline: Instant,
    left: usize,
}

impl Linger {
    /// How many streams of one node may be left like this at once: half of the 1,024 file
    /// descriptors that a process has by default. Those beyond it are closed at once.
    ///
    /// # Security
    ///
    /// Who has many addresses, as every IPv6 network has, is turned away faster than streams end,
    /// and without a bound would leave no descriptor to accept or dial with.
    pub const MOST: usize = 512;

    /// A wait that begins now.
    pub fn new(now: Now) -> Self {
        Self { deadline: now.mono + PATIENCE, left: APPETITE }
    }

    /// Notes that `n` bytes were read and thrown away.
    pub const fn on_read(&mut self, n: usize) {
        self.left = self.left.saturating_sub(n);
    }

    /// Whether the wait is over, though the peer has not hung up.
    pub fn is_over(&self, now: Now) -> bool {
        self.left == 0 || self.deadline <= now.mono
    }

    /// How many bytes may be read.
    pub const fn read_budget(&self) -> usize {
        self.left
    }

    /// When it is over at the latest.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_waited_for_longer_than_a_second_or_read_for_more_than_a_mebibyte() {
        let now = Now::default();
        let mut linger = Linger::new(now);
        assert!(!linger.is_over(now.later(Duration::from_millis(999))));
        assert!(linger.is_over(now.later(Duration::from_secs(1))));
        assert_eq!(linger.deadline(), now.mono + Duration::from_secs(1));
        linger.on_read(1 << 19);
        assert!(!linger.is_over(now));
        assert_eq!(linger.read_budget(), 1 << 19);
        linger.on_read(1 << 20);
        assert!(linger.is_over(now));
    }
}
