//! Resolving the names of nodes: how many at once, and for how long.
//!
//! A resolver may take long to answer, or never answer, and each question may hold a thread of the
//! driver for as long. So only some names are asked for at once, and a name that has no answer in
//! time has no address. It is asked for anew before the next dial.
//!
//! Not here: when a node is dialed (`dial`), and how the system is asked, which is the driver's.

use std::{collections::VecDeque, net::IpAddr, time::Duration};

use peerage_machine::{Instant, Machine, Now};

/// How many names are asked for at once: each may hold a thread of the driver, which may go on
/// waiting for the system when the name is given up.
pub const NAMES_AT_ONCE: usize = 8;

/// How long a name may take to be resolved: as long as a resolver takes to ask its first server
/// twice.
pub const NAME_PATIENCE: Duration = Duration::from_secs(5);

/// The names that are being resolved, and those that wait for their turn.
///
/// The driver passes on each [`Output::Resolve`](crate::envelope::Output::Resolve), asks the system
/// for what [`NamesOutput::Ask`] names, and gives [`NamesOutput::Resolved`] to the server as
/// [`Input::Resolved`](crate::envelope::Input::Resolved).
///
/// `K` is what the driver knows a question by.
///
/// ```text
///   Resolve --> waiting --a place is free--> asked --Answered, or too late--> Resolved
/// ```
#[derive(Debug)]
pub struct Names<K> {
    /// As many at most as the server dials static nodes at a time, or as there are boot nodes.
    waiting: VecDeque<(K, String)>,
    /// In the order in which they are given up, and when. At most [`NAMES_AT_ONCE`].
    asked: VecDeque<(K, Instant)>,
    outputs: VecDeque<NamesOutput<K>>,
}

/// What is told of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamesInput<K> {
    /// The system has answered: all addresses, or none where there are none or it failed. Ignored
    /// if that comes too late.
    Answered {
        /// The question.
        resolve: K,
        /// Every address of the name, both families.
        addresses: Vec<IpAddr>,
    },
    /// The server wants a name resolved.
    Resolve {
        /// The question.
        resolve: K,
        /// The name.
        host: String,
    },
}

/// What is wanted for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamesOutput<K> {
    /// Ask the system for the addresses of a name. Answered by [`NamesInput::Answered`].
    Ask {
        /// The question.
        resolve: K,
        /// The name.
        host: String,
    },
    /// A name was resolved, or was not: then `addresses` is empty.
    Resolved {
        /// The question.
        resolve: K,
        /// Every address of the name.
        addresses: Vec<IpAddr>,
    },
}

impl<K: Copy + PartialEq> Names<K> {
    fn ask(&mut self, now: Instant) {
        while self.asked.len() < NAMES_AT_ONCE
            && let Some((resolve, host)) = self.waiting.pop_front()
        {
            self.asked.push_back((resolve, now + NAME_PATIENCE));
            self.outputs.push_back(NamesOutput::Ask { resolve, host });
        }
    }
}

impl<K> Default for Names<K> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), asked: VecDeque::new(), outputs: VecDeque::new() }
    }
}

impl<K: Copy + PartialEq> Machine for Names<K> {
    type Input<'a> = NamesInput<K>;
    type Output = NamesOutput<K>;

    fn handle_input(&mut self, now: Now, input: NamesInput<K>) {
        match input {
            NamesInput::Answered { resolve, addresses } => {
                if let Some(at) = self.asked.iter().position(|(asked, _)| *asked == resolve) {
                    self.asked.remove(at);
                    self.outputs.push_back(NamesOutput::Resolved { resolve, addresses });
                }
            }
            NamesInput::Resolve { resolve, host } => self.waiting.push_back((resolve, host)),
        }
        self.ask(now.mono);
    }

    fn handle_timeout(&mut self, now: Now) {
        while let Some((resolve, _)) = self.asked.pop_front_if(|(_, until)| *until <= now.mono) {
            let addresses = Vec::new();
            self.outputs.push_back(NamesOutput::Resolved { resolve, addresses });
        }
        self.ask(now.mono);
    }

    fn poll_output(&mut self) -> Option<NamesOutput<K>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.asked.front().map(|(_, until)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Now {
        Now { mono: Instant::START + Duration::from_millis(millis), unix: Duration::ZERO }
    }

    fn resolve(n: u64) -> NamesInput<u64> {
        NamesInput::Resolve { resolve: n, host: format!("n{n}.example") }
    }

    fn ask(n: u64) -> NamesOutput<u64> {
        NamesOutput::Ask { resolve: n, host: format!("n{n}.example") }
    }

    fn answered(n: u64) -> NamesInput<u64> {
        NamesInput::Answered { resolve: n, addresses: vec![[10, 0, 0, 1].into()] }
    }

    fn resolved(n: u64, ip: Option<[u8; 4]>) -> NamesOutput<u64> {
        let addresses = ip.into_iter().map(IpAddr::from).collect();
        NamesOutput::Resolved { resolve: n, addresses }
    }

    fn drain(names: &mut Names<u64>) -> Vec<NamesOutput<u64>> {
        std::iter::from_fn(|| names.poll_output()).collect()
    }

    #[test]
    fn some_names_are_asked_for_at_once_and_the_others_in_their_order() {
        let mut names = Names::default();
        (0..10).for_each(|n| names.handle_input(at(0), resolve(n)));
        assert_eq!(drain(&mut names), (0..8).map(ask).collect::<Vec<_>>());
        names.handle_input(at(1), answered(3));
        assert_eq!(drain(&mut names), [resolved(3, Some([10, 0, 0, 1])), ask(8)]);
        // The first seven go together, the last one when its own time is over.
        names.handle_timeout(at(5_000));
        let given_up = [0, 1, 2, 4, 5, 6, 7].map(|n| resolved(n, None));
        assert_eq!(drain(&mut names), [&given_up[..], &[ask(9)]].concat());
        assert_eq!(names.poll_timeout(), Some(at(5_001).mono));
    }

    #[test]
    fn an_answer_that_comes_too_late_or_twice_is_ignored() {
        let mut names = Names::default();
        names.handle_input(at(0), resolve(1));
        assert_eq!(drain(&mut names), [ask(1)]);
        names.handle_timeout(at(4_999));
        assert_eq!(drain(&mut names), []);
        names.handle_timeout(at(5_000));
        assert_eq!(drain(&mut names), [resolved(1, None)]);
        names.handle_input(at(5_001), answered(1));
        assert_eq!((drain(&mut names), names.poll_timeout()), (vec![], None));
    }
}
