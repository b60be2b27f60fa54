//! Everything that happened, as a running hash and, where wanted, as lines of text.
//!
//! Two runs are the same if their hashes are; [`first_difference`] shows where two that are not
//! part.

use std::fmt::Write as _;

use peerage_machine::Instant;
use sha2::{Digest as _, Sha256};

/// What an event is of: a number for the hash of the trace, and a word for its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    number: u8,
    word: &'static str,
}

impl Kind {
    /// A connection was dialed or accepted, went on or ended.
    pub const CONNECTION: Self = Self::new(1, "connection");
    /// A datagram arrived.
    pub(crate) const DATAGRAM: Self = Self::new(2, "datagram");
    /// A host started, stopped, crashed, or its clock jumped.
    pub(crate) const HOST: Self = Self::new(3, "host");
    /// A message between two tasks of a host.
    pub(crate) const MAIL: Self = Self::new(4, "mail");
    /// A name was asked for, or resolved.
    pub(crate) const NAME: Self = Self::new(8, "name");
    /// A host's own system did not do what its program wanted.
    pub(crate) const FAULT: Self = Self::new(9, "fault");
    /// Bytes of a stream arrived.
    pub(crate) const SEGMENT: Self = Self::new(6, "segment");
    /// A task of a host woke up.
    pub(crate) const WAKE: Self = Self::new(7, "wake");

    /// A kind of a program's own. The simulator uses no number above 127.
    pub const fn new(number: u8, word: &'static str) -> Self {
        Self { number, word }
    }
}

/// The trace of a world.
#[derive(Debug, Default)]
pub struct Trace {
    hash: Sha256,
    events: u64,
    /// Lines that nobody has taken yet, where lines are wanted.
    lines: Option<Vec<String>>,
}

impl Trace {
    /// Keeps lines from now on, for [`take_lines`](Self::take_lines).
    pub fn record(&mut self) {
        self.lines.get_or_insert_default();
    }

    /// The lines since the last call: time in nanoseconds, host, kind, and what.
    pub fn take_lines(&mut self) -> Vec<String> {
        self.lines.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// How many events there were.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The SHA-256 of all events so far, in hexadecimal.
    pub fn hash(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.hash.clone().finalize() {
            // Writing into a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Notes an event. `numbers` and `bytes` are hashed; `what` is for people, and must follow from
    /// the same.
    pub(crate) fn note(
        &mut self,
        at: Instant,
        host: u32,
        kind: Kind,
        numbers: &[u64],
        bytes: &[u8],
        what: impl FnOnce() -> String,
    ) {
        self.events += 1;
        let mut head = [0; 13];
        head[..8].copy_from_slice(&at.as_nanos().to_le_bytes());
        head[8..12].copy_from_slice(&host.to_le_bytes());
        head[12] = kind.number;
        self.hash.update(head);
        for number in numbers {
            self.hash.update(number.to_le_bytes());
        }
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{} h{host} {} {}", at.as_nanos(), kind.word, what()));
        }
    }
}

/// Where two traces part: the number of the line, from 0, and what each has there; `None` if they
/// are the same.
pub fn first_difference<'a>(
    one: impl IntoIterator<Item = &'a str>,
    other: impl IntoIterator<Item = &'a str>,
) -> Option<(usize, Option<&'a str>, Option<&'a str>)> {
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut number = 0;
    loop {
        match (one.next(), other.next()) {
            (None, None) => return None,
            (a, b) if a != b => return Some((number, a, b)),
            _ => number += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_shown_also_where_one_trace_is_shorter() {
        assert_eq!(first_difference(["a", "b"], ["a", "b"]), None);
        assert_eq!(first_difference(["a", "b"], ["a", "c"]), Some((1, Some("b"), Some("c"))));
        assert_eq!(first_difference(["a"], ["a", "c"]), Some((1, None, Some("c"))));
    }

    #[test]
    fn the_hash_tells_every_part_of_an_event() {
        let hash = |at, host, kind, number, bytes: &[u8]| {
            let mut trace = Trace::default();
            trace.note(Instant::from_nanos(at), host, kind, &[number], bytes, String::new);
            trace.hash()
        };
        let one = hash(1, 2, Kind::MAIL, 3, b"x");
        assert_eq!(one, hash(1, 2, Kind::MAIL, 3, b"x"));
        for other in [
            hash(2, 2, Kind::MAIL, 3, b"x"),
            hash(1, 3, Kind::MAIL, 3, b"x"),
            hash(1, 2, Kind::WAKE, 3, b"x"),
            hash(1, 2, Kind::MAIL, 4, b"x"),
            hash(1, 2, Kind::MAIL, 3, b"y"),
        ] {
            assert_ne!(one, other);
        }
    }
}
