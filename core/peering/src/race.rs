//! Racing the addresses of one dial
//! ([RFC 8305, section 5](https://www.rfc-editor.org/rfc/rfc8305#section-5)).
//!
//! A dial may have several addresses, and some of them may swallow every packet. The next address
//! is tried a short time after the one before it, or at once when a try fails. The first address
//! that connects wins.
//!
//! Not here: which addresses a dial has and in which order (`dial`), and when the whole dial is too
//! late ([`Output::CancelDial`](crate::envelope::Output::CancelDial)).

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use peerage_machine::{Instant, Machine, Now};

use crate::envelope::DialError;

/// How much sooner an address is tried than the next one, unless it fails sooner
/// ([RFC 8305, section 8](https://www.rfc-editor.org/rfc/rfc8305#section-8)).
const STAGGER: Duration = Duration::from_millis(250);

/// The race between the addresses of one dial.
///
/// The driver connects to each address of [`RaceOutput::Try`] and tells what became of it. After
/// [`RaceOutput::Won`] or [`RaceOutput::Lost`] the race is over: the driver drops the tries that
/// are still under way, and what it tells of them is ignored.
///
/// ```text
///            Connected
///   Running -----------> Over (Won)
///      |  the last try failed, and no address is left
///      +---------------> Over (Lost)
/// ```
#[derive(Debug)]
pub struct Race {
    state: State,
    outputs: VecDeque<RaceOutput>,
}

#[derive(Debug)]
enum State {
    Running {
        /// The addresses that were not tried yet, the preferred first.
        waiting: VecDeque<SocketAddr>,
        /// The addresses that are being tried.
        trying: Vec<SocketAddr>,
        /// When the next address is tried, if no try fails sooner. Means nothing without one.
        next: Instant,
    },
    Over,
}

/// What a race is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaceInput {
    /// A try connected.
    Connected(SocketAddr),
    /// A try failed.
    Failed(SocketAddr, DialError),
}

/// What a race wants done, or known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaceOutput {
    /// No address connected. Why the last try failed.
    Lost(DialError),
    /// Connect to this address. Answered by a [`RaceInput`].
    Try(SocketAddr),
    /// This address connected first.
    Won(SocketAddr),
}

impl Race {
    /// A race between `addresses`, the preferred first. An address that is named twice is tried
    /// once. The first output tries the first address; without any address the race is lost at
    /// once.
    pub fn new(now: Instant, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        let mut waiting = VecDeque::new();
        for address in addresses {
            if !waiting.contains(&address) {
                waiting.push_back(address);
            }
        }
        let mut race = Self { state: State::Over, outputs: VecDeque::new() };
        if waiting.is_empty() {
            race.outputs.push_back(RaceOutput::Lost(DialError::Unreachable));
        } else {
            race.state = State::Running { waiting, trying: Vec::new(), next: now };
            race.try_next(now);
        }
        race
    }

    fn on_connected(&mut self, address: SocketAddr) {
        let State::Running { trying, .. } = &self.state else { return };
        if trying.contains(&address) {
            self.state = State::Over;
            self.outputs.push_back(RaceOutput::Won(address));
        }
    }

    fn on_failed(&mut self, now: Instant, address: SocketAddr, why: DialError) {
        let State::Running { waiting, trying, .. } = &mut self.state else { return };
        let Some(at) = trying.iter().position(|it| *it == address) else { return };
        trying.swap_remove(at);
        if !waiting.is_empty() {
            self.try_next(now);
        } else if trying.is_empty() {
            self.state = State::Over;
            self.outputs.push_back(RaceOutput::Lost(why));
        }
    }

    fn try_next(&mut self, now: Instant) {
        let State::Running { waiting, trying, next } = &mut self.state else { return };
        if let Some(address) = waiting.pop_front() {
            trying.push(address);
            *next = now + STAGGER;
            self.outputs.push_back(RaceOutput::Try(address));
        }
    }
}

impl Machine for Race {
    type Input<'a> = RaceInput;
    type Output = RaceOutput;

    fn handle_input(&mut self, now: Now, input: RaceInput) {
        match input {
            RaceInput::Connected(address) => self.on_connected(address),
            RaceInput::Failed(address, why) => self.on_failed(now.mono, address, why),
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        if self.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.try_next(now.mono);
        }
    }

    fn poll_output(&mut self) -> Option<RaceOutput> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Running { waiting, next, .. } if !waiting.is_empty() => Some(*next),
            State::Running { .. } | State::Over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use RaceInput::{Connected, Failed};
    use RaceOutput::{Lost, Try, Won};

    use super::*;

    /// The address with this number.
    fn a(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 30303))
    }

    /// What happens after so many milliseconds: an input, or only time; and what the race puts out.
    type Step = (u64, Option<RaceInput>, &'static [fn() -> RaceOutput]);

    fn run(addresses: &[u8], first: &[RaceOutput], steps: &[Step]) -> Race {
        let at = |millis| Now {
            mono: Instant::START + Duration::from_millis(millis),
            unix: Duration::ZERO,
        };
        let mut race = Race::new(at(0).mono, addresses.iter().map(|n| a(*n)));
        let drain = |race: &mut Race| std::iter::from_fn(|| race.poll_output()).collect::<Vec<_>>();
        assert_eq!(drain(&mut race), first);
        for (row, (millis, input, expected)) in steps.iter().enumerate() {
            match input {
                Some(input) => race.handle_input(at(*millis), *input),
                None => race.handle_timeout(at(*millis)),
            }
            let expected: Vec<_> = expected.iter().map(|output| output()).collect();
            assert_eq!(drain(&mut race), expected, "step {row}");
        }
        race
    }

    #[test]
    fn each_address_is_tried_a_stagger_after_the_one_before() {
        let race = run(
            &[1, 2, 3],
            &[Try(a(1))],
            &[(249, None, &[]), (250, None, &[|| Try(a(2))]), (500, None, &[|| Try(a(3))])],
        );
        assert_eq!(race.poll_timeout(), None);
    }

    #[test]
    fn a_failure_brings_the_next_address_at_once_and_the_stagger_begins_anew() {
        run(
            &[1, 2, 3],
            &[Try(a(1))],
            &[
                (100, Some(Failed(a(1), DialError::Refused)), &[|| Try(a(2))]),
                (250, None, &[]),
                (350, None, &[|| Try(a(3))]),
            ],
        );
    }

    #[test]
    fn the_first_address_that_connects_wins_and_what_comes_later_is_ignored() {
        let race = run(
            &[1, 2, 3],
            &[Try(a(1))],
            &[
                (250, None, &[|| Try(a(2))]),
                (300, Some(Connected(a(2))), &[|| Won(a(2))]),
                (310, Some(Connected(a(1))), &[]),
                (320, Some(Failed(a(1), DialError::Refused)), &[]),
                (900, None, &[]),
            ],
        );
        assert_eq!(race.poll_timeout(), None);
    }

    #[test]
    fn a_race_is_lost_with_the_last_failure_once_every_address_has_failed() {
        run(
            &[1, 2],
            &[Try(a(1))],
            &[
                (250, None, &[|| Try(a(2))]),
                (300, Some(Failed(a(2), DialError::Refused)), &[]),
                (400, Some(Failed(a(1), DialError::TimedOut)), &[|| Lost(DialError::TimedOut)]),
            ],
        );
    }

    #[test]
    fn nothing_is_believed_of_an_address_that_is_not_being_tried() {
        run(
            &[1, 2],
            &[Try(a(1))],
            &[(10, Some(Connected(a(2))), &[]), (10, Some(Failed(a(9), DialError::Refused)), &[])],
        );
    }

    #[test]
    fn an_address_that_is_named_twice_is_tried_once_and_no_address_loses_at_once() {
        run(&[1, 1], &[Try(a(1))], &[(900, None, &[])]);
        run(&[], &[Lost(DialError::Unreachable)], &[]);
    }
}
