//! Random operations on a pair of connections.

use std::{sync::Arc, time::Duration};

use arbitrary::{Arbitrary, Result, Unstructured};
use peerage_machine::Now;
use peerage_node::PublicKey;

use super::{capability, config};
use crate::*;

/// Something that happens to the end `0` (initiator) or `1` (recipient).
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Admit(usize),
    Corrupt(usize, usize),
    Disconnect(usize, u8),
    Eof(usize),
    Pause(usize, bool),
    Read(usize, usize),
    Release(usize),
    Send(usize, usize, usize),
    Step(usize),
    Wait(u64),
    Written(usize, usize),
}

impl<'a> Arbitrary<'a> for Op {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let what: u8 = u.arbitrary()?;
        let end = usize::from(u.arbitrary::<bool>()?);
        let many = |u: &mut Unstructured<'a>| {
            let few = usize::from(u.arbitrary::<u8>()?);
            // Mostly everything that is there.
            Result::Ok(if few < 0x80 { 1 + few % 5 } else { 100_000 })
        };
        Ok(match what % 64 {
            0..6 => Self::Admit(end),
            6 => Self::Corrupt(end, usize::from(u.arbitrary::<u16>()?)),
            7 => Self::Disconnect(end, u.arbitrary()?),
            8 => Self::Eof(end),
            9 | 10 => Self::Pause(end, u.arbitrary()?),
            11 | 12 => Self::Release(end),
            13..21 => {
                let (code, n) = (u.arbitrary::<u8>()?, u.arbitrary::<u16>()?);
                Self::Send(end, usize::from(code % 3), usize::from(n % 4096))
            }
            21..25 => Self::Wait(u64::from(u.arbitrary::<u16>()?)),
            25..41 => Self::Written(end, many(u)?),
            41..44 => Self::Step(end),
            _ => Self::Read(end, many(u)?),
        })
    }
}

/// Something that was seen of an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Closed(Fault),
    Identified(PublicKey),
    Message(u64, Vec<u8>),
    Ready(Hello),
    /// A step of the handshake is to be run.
    Step,
    Write(Vec<u8>),
}

struct End {
    connection: Connection,
    /// A step that nobody has run.
    step: Option<Step>,
    /// Bytes on their way here.
    wire: Vec<u8>,
    /// Bytes handed to the transport, which it has not confirmed.
    unconfirmed: usize,
    /// The messages that were sent while the connection was open: id and length.
    sent: Vec<(u64, usize)>,
    trace: Vec<Seen>,
}

impl End {
    fn new(byte: u8, role: Role) -> Self {
        let config = Arc::new(config(byte, &[capability("aaa", 3)]));
        let connection = Connection::new(config, role, Now::default(), [byte; 32]);
        Self {
            connection,
            step: None,
            wire: Vec::new(),
            unconfirmed: 0,
            sent: Vec::new(),
            trace: Vec::new(),
        }
    }

    fn received(&self) -> Vec<(u64, usize)> {
        let message = |seen: &Seen| match seen {
            Seen::Message(code, payload) => Some((*code, payload.len())),
            _ => None,
        };
        self.trace.iter().filter_map(message).collect()
    }

    fn see(&mut self, seen: Seen) {
        let is_over = matches!(self.trace.last(), Some(Seen::Closed(_)));
        assert!(!is_over, "{seen:?} came after the end");
        self.trace.push(seen);
    }

    fn on_event(&mut self, event: Event, payload: &[u8]) {
        let seen = match event {
            Event::Closed { fault } => Seen::Closed(fault),
            Event::Identified { key } => Seen::Identified(key),
            Event::Message { code, .. } => Seen::Message(code, payload.to_vec()),
            Event::Ready { hello } => Seen::Ready(hello),
            Event::Step(step) => {
                assert!(self.step.replace(step).is_none(), "there is one step at a time");
                Seen::Step
            }
        };
        self.see(seen);
    }

    /// Returns what is to be written.
    fn drain(&mut self) -> Vec<u8> {
        while let Some(event) = self.connection.poll_event() {
            self.on_event(event, &[]);
        }
        let bytes = self.connection.outgoing().get(self.unconfirmed..).unwrap_or(&[]).to_vec();
        if !bytes.is_empty() {
            self.see(Seen::Write(bytes.clone()));
        }
        assert!(self.connection.queued() <= 1 << 22);
        if !self.connection.is_open() && self.connection.fault().is_none() {
            let memory = self.connection.memory();
            assert!(memory <= Connection::MAX_UNADMITTED, "{memory} bytes for a stranger");
        }
        self.unconfirmed += bytes.len();
        bytes
    }
}

/// Runs `ops` and returns what both ends put out.
pub(super) fn run(ops: &[Op]) -> [Vec<Seen>; 2] {
    let b = End::new(2, Role::Recipient);
    let remote = *config(2, &[]).key.public();
    let mut ends = [End::new(1, Role::Initiator { remote }), b];
    let mut now = Now::default();
    for op in ops {
        apply(&mut ends, &mut now, op);
        for end in 0..2 {
            let bytes = ends[end].drain();
            ends[1 - end].wire.extend_from_slice(&bytes);
        }
    }
    // However it went, silence ends it.
    for end in &mut ends {
        end.connection.disconnect(now, DisconnectReason::Requested);
        end.connection.handle_timeout(now.later(Duration::from_secs(2)));
        end.drain();
        assert_eq!(end.connection.poll_timeout(), None);
        let ends = end.trace.iter().filter(|seen| matches!(seen, Seen::Closed(_)));
        assert_eq!(ends.count(), 1, "every connection ends once");
    }
    for (from, to) in [(0, 1), (1, 0)] {
        let received = ends[to].received();
        assert!(ends[from].sent.starts_with(&received), "what arrives is what was sent, in order");
    }
    ends.map(|end| end.trace)
}

fn apply(ends: &mut [End; 2], now: &mut Now, op: &Op) {
    match *op {
        Op::Admit(end) => ends[end].connection.admit(*now),
        Op::Corrupt(end, at) => {
            if let Some(byte) = ends[end].wire.get_mut(at) {
                *byte ^= 0x10;
            }
        }
        Op::Disconnect(end, reason) => {
            let reason = DisconnectReason::from_code(reason);
            ends[end].connection.disconnect(*now, reason);
        }
        Op::Eof(end) => {
            let end = &mut ends[end];
            if let Some(event) = end.connection.receive_eof(*now) {
                end.on_event(event, &[]);
            }
        }
        Op::Pause(end, paused) => ends[end].connection.pause_reading(*now, paused),
        Op::Read(end, n) => {
            let end = &mut ends[end];
            let n = n.min(end.wire.len()).min(end.connection.read_budget());
            let mut bytes: Vec<u8> = end.wire.drain(..n).collect();
            let (mut input, mut payload) = (&mut bytes[..], Vec::new());
            while let Some(event) = end.connection.receive(*now, &mut input, &mut payload) {
                end.on_event(event, &payload);
            }
        }
        Op::Release(end) => ends[end].connection.release(),
        Op::Send(end, code, n) => {
            let end = &mut ends[end];
            match end.connection.send(*now, 0, code as u64, &vec![0x42; n]) {
                Ok(()) => end.sent.push((code as u64, n)),
                Err(why) => assert_eq!(why, SendError::NotOpen),
            }
        }
        Op::Step(end) => {
            let end = &mut ends[end];
            if let Some(step) = end.step.take() {
                end.connection.handle_step(*now, step.run());
            }
        }
        Op::Wait(millis) => {
            *now = now.later(Duration::from_millis(millis));
            for end in ends {
                end.connection.handle_timeout(*now);
                let next = end.connection.poll_timeout();
                assert!(next.is_none_or(|next| next > now.mono), "what is due was done");
            }
        }
        Op::Written(end, n) => {
            let end = &mut ends[end];
            let n = n.min(end.unconfirmed);
            end.unconfirmed -= n;
            end.connection.written(*now, n);
        }
    }
}

/// What opens a pair of connections.
pub(super) fn opening() -> Vec<Op> {
    let round = |end| {
        let read = [Op::Read(end, 100_000); 4];
        let step = [Op::Step(end)];
        let rest = [Op::Step(end), Op::Admit(end), Op::Written(end, 100_000)];
        step.into_iter().chain(read).chain(rest)
    };
    (0..4).flat_map(|_| round(0).chain(round(1))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn op() -> impl Strategy<Value = Op> {
        let end = 0usize..2;
        let many = prop_oneof![1usize..5, Just(100_000)];
        prop_oneof![
            6 => end.clone().prop_map(Op::Admit),
            1 => (end.clone(), 0usize..10_000).prop_map(|(end, at)| Op::Corrupt(end, at)),
            1 => (end.clone(), any::<u8>()).prop_map(|(end, reason)| Op::Disconnect(end, reason)),
            1 => end.clone().prop_map(Op::Eof),
            2 => (end.clone(), any::<bool>()).prop_map(|(end, paused)| Op::Pause(end, paused)),
            24 => (end.clone(), many.clone()).prop_map(|(end, n)| Op::Read(end, n)),
            2 => end.clone().prop_map(Op::Release),
            8 => (end.clone(), 0usize..3, 0usize..400).prop_map(|(end, code, n)| Op::Send(end, code, n)),
            6 => end.clone().prop_map(Op::Step),
            3 => (0u64..20_000).prop_map(Op::Wait),
            16 => (end, many).prop_map(|(end, n)| Op::Written(end, n)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_operations_end_every_connection_once_and_give_the_same_trace_again(
            open: bool,
            ops in proptest::collection::vec(op(), 0..200),
        ) {
            let ops = if open { [opening(), ops].concat() } else { ops };
            prop_assert_eq!(run(&ops), run(&ops));
        }
    }

    #[test]
    fn the_opening_opens_both_ends() {
        let mut ops = opening();
        ops.extend([Op::Send(0, 2, 300), Op::Read(1, 100_000)]);
        let [_, b] = run(&ops);
        let payload = vec![0x42; 300];
        assert!(b.contains(&Seen::Message(2, payload)), "{b:?}");
    }
}
