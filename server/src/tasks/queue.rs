//! A backlog of messages that two threads share: what stands between a connection and a protocol.
//!
//! Here: the lock and the wakers. Not here: how much may wait and what that costs (`Backlog`, in
//! `peerage-rlpx`). Not a general channel: there is one consumer, and it takes everything that
//! waits at once, so that a burst of small messages costs one lock and not one each.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use peerage_rlpx::{Backlog, Message};

/// A backlog with one consumer, which may be closed.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    backlog: Backlog,
    phase: Phase,
    /// Who waits for a message.
    consumer: Option<Waker>,
    /// Who waits for room. At most one entry per task that sends.
    producers: Vec<Waker>,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing more goes in; what is in comes out.
    Closed,
    /// Nobody will ever take anything: what goes in vanishes.
    Abandoned,
}

/// The queue is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl Queue {
    /// An empty queue that has room while it holds less than `limit` bytes.
    pub(crate) const fn new(limit: usize) -> Self {
        let state = State {
            backlog: Backlog::new(limit),
            phase: Phase::Open,
            consumer: None,
            producers: Vec::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Adds a message if there is room, else registers the task to be woken when there is.
    /// `payload` is taken only with `Ready(Ok)`.
    pub(crate) fn poll_push(
        &self,
        cx: &mut Context<'_>,
        code: u64,
        payload: &mut Option<Bytes>,
    ) -> Poll<Result<(), Closed>> {
        let mut state = self.lock();
        match state.phase {
            Phase::Closed => return Poll::Ready(Err(Closed)),
            Phase::Abandoned => {
                payload.take();
                return Poll::Ready(Ok(()));
            }
            Phase::Open => {}
        }
        if !state.backlog.has_room() {
            if !state.producers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.producers.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        if let Some(payload) = payload.take() {
            state.backlog.push(Message::new(code, payload));
        }
        let consumer = state.consumer.take();
        drop(state);
        if let Some(waker) = consumer {
            waker.wake();
        }
        Poll::Ready(Ok(()))
    }

    /// Adds messages whatever room there is, and empties `batch`. Says whether the queue is full
    /// now.
    ///
    /// For the connection, which cannot put back what it has decrypted: it stops reading instead.
    pub(crate) fn push_all(&self, batch: &mut Vec<Message>) -> bool {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            batch.clear();
            return false;
        }
        for message in batch.drain(..) {
            state.backlog.push(message);
        }
        let full = !state.backlog.has_room();
        let consumer = state.consumer.take();
        drop(state);
        if let Some(waker) = consumer {
            waker.wake();
        }
        full
    }

    /// Takes everything that waits into `batch`, which must be empty. `Ready(Err)` once the queue
    /// is closed and empty.
    pub(crate) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        batch: &mut VecDeque<Message>,
    ) -> Poll<Result<(), Closed>> {
        let mut state = self.lock();
        if !state.backlog.take(batch) {
            if state.phase != Phase::Open {
                return Poll::Ready(Err(Closed));
            }
            register(&mut state.consumer, cx);
            return Poll::Pending;
        }
        let producers = std::mem::take(&mut state.producers);
        drop(state);
        producers.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }

    /// Ready when there is room, or when none is needed any more.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.backlog.has_room() || state.phase != Phase::Open {
            return Poll::Ready(());
        }
        if !state.producers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.producers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Nothing more goes in. What is in can still be taken.
    pub(crate) fn close(&self) {
        self.end(Phase::Closed);
    }

    /// Nothing will ever be taken. What is in is dropped, and so is what comes.
    pub(crate) fn abandon(&self) {
        self.end(Phase::Abandoned);
    }

    /// Ready once the queue is closed, whatever it still holds. Registers the task as a producer.
    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.phase == Phase::Closed {
            return Poll::Ready(());
        }
        if !state.producers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.producers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn end(&self, phase: Phase) {
        let mut state = self.lock();
        match (&state.phase, &phase) {
            (Phase::Open, _) => {}
            // A closed queue whose consumer leaves has only its messages to give up.
            (Phase::Closed, Phase::Abandoned) => return state.backlog.clear(),
            _ => return,
        }
        if phase == Phase::Abandoned {
            state.backlog.clear();
        }
        state.phase = phase;
        let consumer = state.consumer.take();
        let producers = std::mem::take(&mut state.producers);
        drop(state);
        consumer.into_iter().chain(producers).for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held but an allocation that fails.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn push(queue: &Queue, waker: &Waker, size: usize) -> Poll<Result<(), Closed>> {
        let mut payload = Some(Bytes::from(vec![0; size]));
        queue.poll_push(&mut Context::from_waker(waker), 0, &mut payload)
    }

    #[test]
    fn a_full_queue_makes_producers_wait_and_a_take_wakes_them() {
        let queue = Queue::new(100);
        let woken = Arc::new(Count::default());
        let waker = Waker::from(woken.clone());
        assert_eq!(push(&queue, &waker, 1000), Poll::Ready(Ok(())), "one message always fits");
        assert_eq!(push(&queue, &waker, 0), Poll::Pending);
        assert_eq!(push(&queue, &waker, 0), Poll::Pending);
        let mut batch = VecDeque::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(queue.poll_take(&mut cx, &mut batch), Poll::Ready(Ok(())));
        assert_eq!((batch.len(), woken.0.load(Ordering::Relaxed)), (1, 1));
        assert_eq!(push(&queue, &waker, 0), Poll::Ready(Ok(())));
    }

    #[test]
    fn empty_messages_fill_a_queue_too() {
        let queue = Queue::new(100);
        assert_eq!(push(&queue, Waker::noop(), 0), Poll::Ready(Ok(())));
        assert_eq!(push(&queue, Waker::noop(), 0), Poll::Ready(Ok(())));
        assert_eq!(push(&queue, Waker::noop(), 0), Poll::Pending);
    }

    #[test]
    fn a_closed_queue_gives_what_it_holds_and_takes_no_more() {
        let queue = Queue::new(100);
        assert_eq!(push(&queue, Waker::noop(), 1), Poll::Ready(Ok(())));
        queue.close();
        assert_eq!(push(&queue, Waker::noop(), 1), Poll::Ready(Err(Closed)));
        let mut cx = Context::from_waker(Waker::noop());
        let mut batch = VecDeque::new();
        assert_eq!(queue.poll_take(&mut cx, &mut batch), Poll::Ready(Ok(())));
        batch.clear();
        assert_eq!(queue.poll_take(&mut cx, &mut batch), Poll::Ready(Err(Closed)));
    }

    #[test]
    fn an_abandoned_queue_swallows_what_it_is_given() {
        let queue = Queue::new(1);
        queue.abandon();
        for _ in 0..10 {
            assert_eq!(push(&queue, Waker::noop(), 1), Poll::Ready(Ok(())));
        }
        assert!(!queue.push_all(&mut vec![Message::new(0, Bytes::new())]));
    }

    #[test]
    fn the_consumer_is_woken_once_for_many_messages() {
        let queue = Queue::new(10_000);
        let woken = Arc::new(Count::default());
        let waker = Waker::from(woken.clone());
        let mut batch = VecDeque::new();
        assert_eq!(queue.poll_take(&mut Context::from_waker(&waker), &mut batch), Poll::Pending);
        for _ in 0..5 {
            assert_eq!(push(&queue, Waker::noop(), 1), Poll::Ready(Ok(())));
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }
}
