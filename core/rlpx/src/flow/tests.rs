//! Flows against each other: what a connection's task decides, in virtual time.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::{Backlog, Capability, CapabilityName, LocalCapability, PeerMisbehaved, Waiting};

/// A flow with its protocols' backlogs, and the bytes on their way to it.
struct Side {
    flow: Flow,
    /// Bytes of the other end that were not read yet.
    wire: Vec<u8>,
    /// From the protocols, by lane.
    said: Vec<Backlog>,
    /// To the protocols, by lane.
    heard: Vec<Backlog>,
    /// Whether protocols take what has arrived.
    is_awake: bool,
    seen: Vec<(usize, Message)>,
    fault: Option<Fault>,
}

/// So little fills a backlog.
const SMALL: usize = 1000;

impl Side {
    fn new(byte: u8, role: Role) -> Self {
        let named = |name| {
            let capability = Capability { name: CapabilityName::new(name).unwrap(), version: 1 };
            LocalCapability { capability, length: 4 }
        };
        let config = crate::fuzzing::config(byte, &[named("aaa"), named("bbb")]);
        Self {
            flow: Flow::new(Arc::new(config), role, Now::default(), [byte; 32]),
            wire: Vec::new(),
            said: (0..2).map(|_| Backlog::new(SMALL)).collect(),
            heard: (0..2).map(|_| Backlog::new(SMALL)).collect(),
            is_awake: true,
            seen: Vec::new(),
            fault: None,
        }
    }

    fn say(&mut self, lane: usize, code: u64, size: usize) {
        self.said[lane].push(Message { code, payload: vec![0xab; size].into() });
    }

    /// Seals what waits, writes at most `room` bytes of it to `other`, and reads all it may.
    fn round(&mut self, now: Now, other: &mut Vec<u8>, room: usize) -> bool {
        self.poll(now);
        self.flow.fill(now, fetch(&mut self.said)).unwrap();
        let n = self.flow.outgoing().len().min(room);
        other.extend_from_slice(&self.flow.outgoing()[..n]);
        self.flow.written(now, n);
        self.listen();
        if self.flow.is_paused() && self.heard.iter().all(Backlog::has_room) {
            self.flow.handle_room(now);
        }
        let read = self.flow.read_budget().min(self.wire.len());
        let mut bytes: Vec<u8> = self.wire.drain(..read).collect();
        let mut input = &mut bytes[..];
        if read > 0 {
            while let Some(event) = self.flow.receive(now, &mut input) {
                self.on_event(now, event);
            }
        }
        self.poll(now);
        n + read > 0
    }

    fn poll(&mut self, now: Now) {
        while let Some(event) = self.flow.poll_event() {
            self.on_event(now, event);
        }
    }

    fn on_event(&mut self, now: Now, event: FlowEvent) {
        assert_eq!(self.fault, None, "{event:?} came after the end");
        match event {
            FlowEvent::Closed { fault } => self.fault = Some(fault),
            FlowEvent::Deliver { lane } => {
                for message in self.flow.delivered(lane).drain(..) {
                    self.heard[lane].push(message);
                }
                if !self.heard[lane].has_room() {
                    self.flow.handle_full(now);
                }
            }
            FlowEvent::Identified { .. } | FlowEvent::Ready { .. } => self.flow.admit(now),
            FlowEvent::Step(step) => self.flow.handle_step(now, step.run()),
        }
    }

    /// The protocols take what has arrived, if they are awake.
    fn listen(&mut self) {
        for (lane, backlog) in self.heard.iter_mut().enumerate().filter(|_| self.is_awake) {
            let mut batch = VecDeque::new();
            backlog.take(&mut batch);
            self.seen.extend(batch.into_iter().map(|message| (lane, message)));
        }
    }

    /// Whether a protocol has not taken what fills its backlog.
    fn is_full(&self) -> bool {
        !self.heard.iter().all(Backlog::has_room)
    }

    fn seen(&self) -> Vec<(usize, u64)> {
        self.seen.iter().map(|(lane, message)| (*lane, message.code)).collect()
    }
}

fn fetch(said: &mut [Backlog]) -> impl FnMut(usize, &mut VecDeque<Message>) {
    |lane, batch| {
        said[lane].take(batch);
    }
}

/// Something that happens to end 0 or 1.
#[derive(Clone, Debug)]
enum Op {
    Disconnect(usize),
    /// It writes at most so much, and reads.
    Round(usize, usize),
    Say(usize, usize, usize),
    /// Its protocols fall asleep or wake up.
    Sleep(usize, bool),
    Wait(u64),
    WriteFails(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let end = 0usize..2;
    prop_oneof![
        1 => end.clone().prop_map(Op::Disconnect),
        20 => (end.clone(), prop_oneof![1usize..200, Just(usize::MAX)])
            .prop_map(|(end, room)| Op::Round(end, room)),
        10 => (end.clone(), 0usize..2, prop_oneof![0usize..100, 0usize..200_000])
            .prop_map(|(end, lane, size)| Op::Say(end, lane, size)),
        4 => (end.clone(), any::<bool>()).prop_map(|(end, sleeps)| Op::Sleep(end, sleeps)),
        2 => (0u64..3_000).prop_map(Op::Wait),
        1 => end.prop_map(Op::WriteFails),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_happens_messages_keep_their_order_and_no_more_waits_than_is_allowed(
        ops in proptest::collection::vec(op(), 0..150),
    ) {
        let (a, b, mut now) = open();
        let mut ends = [a, b];
        // What was said while the lane had room for it, by end and lane.
        let mut said = [[const { Vec::new() }; 2], [const { Vec::new() }; 2]];
        for op in ops {
            match op {
                Op::Disconnect(end) => {
                    let Side { flow, said, .. } = &mut ends[end];
                    flow.disconnect(now, DisconnectReason::Requested, fetch(said)).unwrap();
                }
                Op::Round(end, room) => {
                    let [a, b] = &mut ends;
                    let (ours, theirs) = if end == 0 { (a, b) } else { (b, a) };
                    if ours.fault.is_none() {
                        ours.round(now, &mut theirs.wire, room);
                    }
                }
                Op::Say(end, lane, size) => {
                    if ends[end].said[lane].has_room() {
                        ends[end].say(lane, size as u64 % 4, size);
                        said[end][lane].push(size);
                    }
                }
                Op::Sleep(end, sleeps) => ends[end].is_awake = !sleeps,
                Op::Wait(millis) => {
                    now = now.later(Duration::from_millis(millis));
                    for end in ends.iter_mut().filter(|end| end.fault.is_none()) {
                        end.flow.handle_timeout(now);
                        end.poll(now);
                        let next = end.flow.poll_timeout();
                        prop_assert!(next.is_none_or(|next| next > now.mono), "what is due was done");
                    }
                }
                Op::WriteFails(end) => ends[end].flow.write_failed(),
            }
            for end in &ends {
                // Nothing is read exactly while a protocol leaves too much untaken.
                prop_assert!(end.flow.fault().is_some() || end.flow.is_paused() == end.is_full());
            }
        }
        for end in &mut ends {
            end.is_awake = true;
            end.listen();
        }
        for (from, to) in [(0, 1), (1, 0)] {
            for (lane, said) in said[from].iter().enumerate() {
                let of = ends[to].seen.iter().filter(|(of, _)| *of == lane);
                let heard: Vec<_> = of.map(|(_, message)| message.payload.len()).collect();
                prop_assert!(said.starts_with(&heard), "in order, each once");
            }
        }
    }
}

/// Two flows that are open.
fn open() -> (Side, Side, Now) {
    let key = *crate::fuzzing::config(2, &[]).key.public();
    let mut a = Side::new(1, Role::Initiator { remote: key });
    let mut b = Side::new(2, Role::Recipient);
    let now = Now::default();
    settle(&mut a, &mut b, now);
    assert!(a.flow.is_open() && b.flow.is_open());
    (a, b, now)
}

/// Lets bytes flow until none do.
fn settle(a: &mut Side, b: &mut Side, now: Now) {
    while a.round(now, &mut b.wire, usize::MAX) | b.round(now, &mut a.wire, usize::MAX) {}
    a.listen();
    b.listen();
}

#[test]
fn messages_of_all_lanes_arrive_in_their_order() {
    let (mut a, mut b, now) = open();
    for code in 0..4 {
        a.say(0, code, 10);
        a.say(1, code, 50_000);
        b.say(1, code, 0);
    }
    settle(&mut a, &mut b, now);
    let of = |lane| (0..4).map(move |code| (lane, code));
    let lane = |side: &Side, lane| -> Vec<_> {
        side.seen().into_iter().filter(|(of, _)| *of == lane).collect()
    };
    assert!(lane(&b, 0).into_iter().eq(of(0)) && lane(&b, 1).into_iter().eq(of(1)));
    assert!(a.seen().into_iter().eq(of(1)));
}

#[test]
fn no_more_is_sealed_than_a_write_takes_and_what_a_message_adds() {
    let (mut a, mut b, now) = open();
    let noise: Vec<u8> = (0..50_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    for _ in 0..20 {
        a.said[0].push(Message { code: 0, payload: noise.clone().into() });
    }
    a.flow.fill(now, fetch(&mut a.said)).unwrap();
    let sealed = a.flow.outgoing().len();
    assert!((128 << 10..(128 << 10) + 60_000).contains(&sealed), "{sealed}");
    settle(&mut a, &mut b, now);
    assert_eq!(b.seen.len(), 20);
}

#[test]
fn a_lane_that_is_full_stops_reading_until_there_is_room() {
    let (mut a, mut b, now) = open();
    b.is_awake = false;
    a.say(0, 0, SMALL);
    settle(&mut a, &mut b, now);
    assert!(b.flow.is_paused());
    assert_eq!(b.flow.read_budget(), 0);
    a.say(1, 3, 10);
    settle(&mut a, &mut b, now);
    assert!(!b.wire.is_empty(), "what comes meanwhile stays on the wire, for all lanes");
    // Silence meanwhile is not the peer's fault.
    let now = now.later(Duration::from_secs(40));
    b.flow.handle_timeout(now);
    assert_eq!(b.flow.fault(), None);
    b.is_awake = true;
    settle(&mut a, &mut b, now);
    assert!(!b.flow.is_paused());
    assert_eq!(b.seen(), [(0, 0), (1, 3)]);
}

#[test]
fn what_was_said_before_a_goodbye_arrives_before_it_however_much_it_is() {
    let (mut a, mut b, now) = open();
    for _ in 0..10 {
        a.say(0, 1, 50_000);
    }
    a.flow.disconnect(now, DisconnectReason::Requested, fetch(&mut a.said)).unwrap();
    assert!(!a.flow.is_open() && a.fault.is_none());
    a.say(0, 2, 1);
    settle(&mut a, &mut b, now);
    assert_eq!(b.seen(), [(0, 1); 10]);
    assert_eq!(b.fault, Some(Fault::Remote(DisconnectReason::Requested)));
    assert!(a.flow.linger(now).is_some() && b.flow.linger(now).is_none());
}

#[test]
fn a_protocol_that_goes_on_sending_does_not_put_the_end_off() {
    let (mut a, mut b, now) = open();
    let endless = |_, batch: &mut VecDeque<Message>| batch.push_back(Message::new(1, "more"));
    a.flow.disconnect(now, DisconnectReason::Requested, endless).unwrap();
    settle(&mut a, &mut b, now);
    assert_eq!(b.seen(), [(0, 1), (1, 1)]);
    assert_eq!(b.fault, Some(Fault::Remote(DisconnectReason::Requested)));
    assert!(a.flow.is_idle() && b.flow.is_idle());
}

#[test]
fn what_arrived_before_the_end_is_delivered_before_it() {
    let (mut a, mut b, now) = open();
    a.say(0, 1, 5);
    a.round(now, &mut b.wire, usize::MAX);
    a.flow.disconnect(now, DisconnectReason::ClientQuitting, fetch(&mut a.said)).unwrap();
    a.round(now, &mut b.wire, usize::MAX);
    let mut bytes = std::mem::take(&mut b.wire);
    let mut input = &mut bytes[..];
    assert!(matches!(b.flow.receive(now, &mut input), Some(FlowEvent::Deliver { lane: 0 })));
    assert_eq!(b.flow.delivered(0).drain(..).count(), 1);
    assert!(matches!(b.flow.poll_event(), Some(FlowEvent::Closed { .. })));
    assert!(b.flow.poll_event().is_none());
}

#[test]
fn a_message_that_cannot_be_sent_ends_the_connection() {
    let (mut a, mut b, now) = open();
    a.say(1, 4, 0);
    let refused = a.flow.fill(now, fetch(&mut a.said));
    assert_eq!(refused, Err(SendError::OutOfRange { shared: 1, code: 4 }));
    settle(&mut a, &mut b, now);
    assert_eq!(b.fault, Some(Fault::Remote(DisconnectReason::SubprotocolReason)));
}

#[test]
fn a_stream_that_takes_nothing_more_is_read_to_its_end() {
    let (mut a, mut b, now) = open();
    b.say(0, 2, 7);
    b.flow.disconnect(now, DisconnectReason::UselessPeer, fetch(&mut b.said)).unwrap();
    b.round(now, &mut a.wire, usize::MAX);
    a.say(0, 0, 7);
    a.flow.fill(now, fetch(&mut a.said)).unwrap();
    a.flow.write_failed();
    assert!(a.flow.outgoing().is_empty());
    // The reason had arrived before.
    settle(&mut a, &mut b, now);
    assert_eq!(a.seen(), [(0, 2)]);
    assert_eq!(a.fault, Some(Fault::Remote(DisconnectReason::UselessPeer)));

    let (mut a, _, now) = open();
    a.flow.write_failed();
    assert!(matches!(a.flow.receive_nothing(now), Some(FlowEvent::Closed { .. })));

    // A goodbye that cannot be written is none to be waited for any longer.
    let (mut a, _, now) = open();
    a.flow.disconnect(now, DisconnectReason::Requested, fetch(&mut a.said)).unwrap();
    assert!(a.flow.receive_nothing(now).is_none(), "it may yet be written");
    a.flow.write_failed();
    assert!(matches!(a.flow.receive_nothing(now), Some(FlowEvent::Closed { .. })));
}

#[test]
fn nobody_is_waited_for_who_was_told_nothing() {
    let now = Now::default();
    // There were no keys.
    let mut stranger = Side::new(2, Role::Recipient);
    stranger.flow.disconnect(now, DisconnectReason::ClientQuitting, |_, _| {}).unwrap();
    stranger.poll(now);
    assert!(stranger.fault.is_some() && stranger.flow.linger(now).is_none());
    // Nothing could reach it.
    let (mut a, _, now) = open();
    a.say(0, 0, 1);
    a.flow.fill(now, fetch(&mut a.said)).unwrap();
    a.flow.handle_room(now);
    let now = now.later(Duration::from_secs(20));
    a.flow.handle_timeout(now);
    a.poll(now);
    let late = PeerMisbehaved::TimedOut(Duration::from_secs(20), Waiting::Writing);
    assert_eq!(a.fault, Some(late.into()));
    assert!(a.flow.linger(now).is_none());
}

#[test]
fn a_flow_that_idles_frees_its_buffers_and_needs_no_wake_for_that_any_more() {
    let (mut a, mut b, now) = open();
    a.say(0, 0, 100_000);
    settle(&mut a, &mut b, now);
    let (used, pings) = (a.flow.memory(), now.mono + Duration::from_secs(15));
    let mut now = now;
    while let Some(at) = a.flow.poll_timeout().filter(|at| *at < pings) {
        assert!(at <= now.mono + Duration::from_secs(1));
        now = now.later(at.saturating_since(now.mono));
        a.flow.handle_timeout(now);
    }
    assert!(now.mono <= Instant::START + Duration::from_secs(2));
    assert!(a.flow.memory() + 30_000 < used, "{} of {used}", a.flow.memory());
    assert_eq!(a.flow.poll_timeout(), Some(pings));
}

#[test]
fn a_flow_is_small() {
    assert!(size_of::<Flow>() <= 112, "{}", size_of::<Flow>());
}
