//! The message channel of a protocol: what [`Protocol`](crate::Protocol) functions receive from and
//! send to.
//!
//! Not here: frames, ids on the wire and snappy, how much may wait, and when messages are written
//! (`peerage-rlpx`).

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use peerage_rlpx::{Capability, LaneLimits, Unsendable};

use crate::tasks::queue::Queue;

pub use peerage_rlpx::{MAX_PAYLOAD, Message};

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection has ended.
    #[error("the connection has ended")]
    Closed,
    /// The protocol has no such message.
    #[error("message {code:#x} is outside a protocol of {length} messages")]
    OutOfRange {
        /// The id that was to be sent.
        code: u64,
        /// How many message ids the protocol has.
        length: u64,
    },
    /// The payload is larger than [`MAX_PAYLOAD`].
    #[error("a payload of {size} bytes is larger than {MAX_PAYLOAD}")]
    TooLarge {
        /// The size of the payload.
        size: usize,
    },
}

/// Both directions of one protocol with one peer.
///
/// Messages keep their order. Dropping the channel ends the conversation: a protocol function that
/// returns ends its peer.
#[derive(Debug)]
pub struct Channel {
    sender: Sender,
    receiver: Receiver,
}

impl Channel {
    /// Two channels that lead to each other, so that a protocol can be tested with no network.
    ///
    /// Both behave as if they were one protocol on two ends of a connection: when one end is
    /// dropped, the other receives what is left, then `None`.
    pub fn pipe() -> (Self, Self) {
        let capability =
            Capability { name: "pipe".parse().expect("because it is a valid name"), version: 0 };
        let limit = LaneLimits::default().outgoing;
        let (here, there) = (Queue::new(limit), Queue::new(limit));
        let (here, there) = (Arc::new(here), Arc::new(there));
        let one = Self::new(capability, u64::MAX, here.clone(), there.clone());
        (one, Self::new(capability, u64::MAX, there, here))
    }

    /// A channel, and the connection's end of it.
    pub(crate) fn connected(
        capability: Capability,
        length: u64,
        limits: &LaneLimits,
    ) -> (Self, Lane) {
        let incoming = Arc::new(Queue::new(limits.incoming));
        let outgoing = Arc::new(Queue::new(limits.outgoing));
        let channel = Self::new(capability, length, incoming.clone(), outgoing.clone());
        (channel, Lane { incoming, outgoing })
    }

    fn new(capability: Capability, length: u64, incoming: Arc<Queue>, out: Arc<Queue>) -> Self {
        let sender = Sender { end: Arc::new(SendEnd { capability, length, queue: out }) };
        Self { sender, receiver: Receiver { queue: incoming, batch: VecDeque::new() } }
    }

    /// The next message, or `None` once the connection has ended and every message has been taken.
    ///
    /// Cancel safe: a message is lost by no `select!`.
    pub async fn recv(&mut self) -> Option<Message> {
        self.receiver.recv().await
    }

    /// Sends a message, waiting while too much is waiting to be written.
    ///
    /// See [`Sender::send`].
    pub async fn send(&self, code: u64, payload: impl Into<Bytes>) -> Result<(), SendError> {
        self.sender.send(code, payload).await
    }

    /// The capability that this connection agreed on.
    pub fn capability(&self) -> Capability {
        self.sender.capability()
    }

    /// The sending half, for tasks that only send, or wait for the end.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Both halves apart, for protocols that receive in one task and send from others.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }
}

/// The sending half of a [`Channel`]. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    end: Arc<SendEnd>,
}

/// Closes the queue when the last sender goes.
struct SendEnd {
    capability: Capability,
    length: u64,
    queue: Arc<Queue>,
}

impl Sender {
    /// Sends message `code`, waiting while too much is waiting to be written to this peer.
    ///
    /// `Ok` says that the message will be written if the connection lives long enough, not that it
    /// was received. Messages of one protocol are received in the order of their sending.
    pub async fn send(&self, code: u64, payload: impl Into<Bytes>) -> Result<(), SendError> {
        let payload = payload.into();
        let length = self.end.length;
        Unsendable::check(length, code, payload.len()).map_err(|why| match why {
            Unsendable::OutOfRange { code, length } => SendError::OutOfRange { code, length },
            Unsendable::TooLarge { size } => SendError::TooLarge { size },
        })?;
        let mut payload = Some(payload);
        poll_fn(|cx| self.end.queue.poll_push(cx, code, &mut payload))
            .await
            .map_err(|_| SendError::Closed)
    }

    /// Waits until the connection has ended.
    pub async fn closed(&self) {
        poll_fn(|cx| self.end.queue.poll_closed(cx)).await;
    }

    /// The capability that this connection agreed on.
    pub fn capability(&self) -> Capability {
        self.end.capability
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.end.capability).finish()
    }
}

impl Drop for SendEnd {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The receiving half of a [`Channel`].
pub struct Receiver {
    queue: Arc<Queue>,
    /// Taken out of the queue together, so that a burst costs one lock.
    batch: VecDeque<Message>,
}

impl Receiver {
    /// The next message, or `None` once the connection has ended and every message has been taken.
    ///
    /// Cancel safe: a message is lost by no `select!`.
    pub async fn recv(&mut self) -> Option<Message> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        if self.batch.is_empty()
            && std::task::ready!(self.queue.poll_take(cx, &mut self.batch)).is_err()
        {
            return Poll::Ready(None);
        }
        Poll::Ready(self.batch.pop_front())
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

/// A connection's end of a [`Channel`].
#[derive(Debug)]
pub(crate) struct Lane {
    /// From the peer to the protocol.
    pub(crate) incoming: Arc<Queue>,
    /// From the protocol to the peer.
    pub(crate) outgoing: Arc<Queue>,
}

impl Lane {
    /// Tells the protocol that the connection has ended.
    pub(crate) fn close(&self) {
        self.incoming.close();
        self.outgoing.close();
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.close();
    }
}
