//! Bytes on their way to the transport.

use std::time::Duration;

use peerage_machine::Instant;

/// What the transport has not taken yet, in order, and since when it has not moved.
///
/// Grows by what the driver sends, which is the driver's to bound (see [`len`](Self::len)), and by
/// at most one ping, one pong and one Disconnect of our own.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// How many bytes at the front of `bytes` the transport has taken.
    start: usize,
    /// Position in the whole stream of the first waiting byte.
    written: u64,
    /// When the transport last took something, or there was nothing to take.
    progress: Instant,
}

impl Outbox {
    /// Appends `bytes` as they are.
    pub(crate) fn push(&mut self, now: Instant, bytes: &[u8]) {
        self.back(now).extend_from_slice(bytes);
    }

    /// The buffer, to be appended to.
    pub(crate) fn back(&mut self, now: Instant) -> &mut Vec<u8> {
        if self.is_empty() {
            self.progress = now;
        } else if self.start >= self.len() {
            // At least as much was written as has to be moved, so a byte is moved once at most for
            // every byte written.
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }

    /// Notes that the transport took `n` bytes.
    pub(crate) fn written(&mut self, now: Instant, n: usize) {
        assert!(n <= self.len(), "{n} bytes were written, but only {} were waiting", self.len());
        if n == 0 {
            return;
        }
        self.progress = now;
        self.start += n;
        self.written += n as u64;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Frees the buffer if nothing is waiting.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// The bytes that the transport has not taken.
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The bytes held, those included that the transport has taken and the room that is kept.
    pub(crate) const fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Position in the whole stream of the next byte to be appended.
    pub(crate) fn end(&self) -> u64 {
        self.written + self.len() as u64
    }

    /// Whether the transport has taken everything before `position`.
    pub(crate) fn is_written(&self, position: u64) -> bool {
        position <= self.written
    }

    /// When it will have been `patience` since anything moved; `None` while nothing waits.
    pub(crate) fn deadline(&self, patience: Duration) -> Option<Instant> {
        (!self.is_empty()).then(|| self.progress + patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_nanos(10);

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn bytes_leave_in_order_however_they_are_taken() {
        let mut out = Outbox::default();
        let mut taken = Vec::new();
        for n in 0..200u8 {
            out.push(at(0), &[n; 3]);
            for _ in 0..2 {
                taken.push(out.waiting()[0]);
                out.written(at(0), 1);
            }
        }
        taken.extend(out.waiting());
        let all: Vec<u8> = (0..200).flat_map(|n| [n; 3]).collect();
        assert_eq!(taken, all);
        assert!(out.bytes.len() <= 2 * out.len() + 3, "what was written is given back");
    }

    #[test]
    fn the_deadline_runs_from_the_last_progress_and_only_while_something_waits() {
        let mut out = Outbox::default();
        assert_eq!(out.deadline(PATIENCE), None);
        out.push(at(5), b"ab");
        out.push(at(8), b"c");
        assert_eq!(out.deadline(PATIENCE), Some(at(15)));
        out.written(at(9), 0);
        assert_eq!(out.deadline(PATIENCE), Some(at(15)));
        out.written(at(9), 1);
        assert_eq!(out.deadline(PATIENCE), Some(at(19)));
        out.written(at(9), 2);
        assert_eq!(out.deadline(PATIENCE), None);
    }

    #[test]
    fn positions_outlive_the_buffer() {
        let mut out = Outbox::default();
        out.push(at(0), b"abc");
        let end = out.end();
        out.written(at(0), 2);
        assert!(!out.is_written(end));
        out.written(at(0), 1);
        out.release();
        out.push(at(0), b"d");
        assert!(out.is_written(end) && !out.is_written(out.end()));
    }
}
