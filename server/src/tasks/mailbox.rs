//! What a connection's task is told from outside: verdicts, disconnects, its protocols' lanes.
//!
//! A mailbox and not a queue: every order replaces or joins the one before, so it holds no more
//! than one of each, and an idle connection's mailbox is a few words.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use peerage_rlpx::DisconnectReason;

use crate::channel::Lane;

/// The mailbox of one connection, and the one figure it reports without being asked.
#[derive(Debug)]
pub(crate) struct Mailbox {
    orders: Mutex<Orders>,
    /// Nanoseconds of the last ping's round trip; [`u64::MAX`] before the first.
    round_trip: AtomicU64,
}

/// What the connection has to do.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// The verdict of the checkpoint that the connection waits at.
    pub(crate) admit: Option<Admission>,
    /// End with this reason. The first one counts.
    pub(crate) disconnect: Option<DisconnectReason>,
    waker: Option<Waker>,
}

/// A positive verdict.
#[derive(Debug)]
pub(crate) enum Admission {
    /// Of the first checkpoint: say Hello.
    Greet,
    /// Of the second checkpoint: exchange messages, one lane for each shared capability.
    Start(Vec<Lane>),
}

impl Mailbox {
    pub(crate) const fn new() -> Self {
        let orders = Orders { admit: None, disconnect: None, waker: None };
        Self { orders: Mutex::new(orders), round_trip: AtomicU64::new(u64::MAX) }
    }

    /// Passes a positive verdict on.
    pub(crate) fn admit(&self, admission: Admission) {
        self.tell(|orders| orders.admit = Some(admission));
    }

    /// Ends the connection with `reason`, if nothing has ended it yet.
    pub(crate) fn disconnect(&self, reason: DisconnectReason) {
        self.tell(|orders| {
            orders.disconnect.get_or_insert(reason);
        });
    }

    /// Drops what the connection's task has not taken, now that it has ended: lanes among it, so
    /// that their protocols learn of the end.
    pub(crate) fn clear(&self) {
        // The guard goes before the orders: dropping a lane wakes its protocol.
        let orders = std::mem::take(&mut *self.lock());
        drop(orders);
    }

    /// Takes all orders, and has the task woken at the next ones.
    pub(crate) fn take(&self, cx: &Context<'_>) -> Orders {
        let mut orders = self.lock();
        let waker = match orders.waker.take() {
            Some(waker) if waker.will_wake(cx.waker()) => waker,
            _ => cx.waker().clone(),
        };
        std::mem::replace(
            &mut *orders,
            Orders { admit: None, disconnect: None, waker: Some(waker) },
        )
    }

    /// Round trip of the last ping that was answered.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        match self.round_trip.load(Ordering::Relaxed) {
            u64::MAX => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Reports the round trip of the last ping.
    pub(crate) fn set_round_trip(&self, round_trip: Duration) {
        let nanos = u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX);
        self.round_trip.store(nanos, Ordering::Relaxed);
    }

    fn tell(&self, change: impl FnOnce(&mut Orders)) {
        let mut orders = self.lock();
        change(&mut orders);
        let waker = orders.waker.take();
        drop(orders);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
