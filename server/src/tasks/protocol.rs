//! The task of one protocol with one peer.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use peerage_rlpx::DisconnectReason;

use crate::{
    channel::Channel,
    peer::Peer,
    protocol::{BoxFuture, Protocol, ProtocolError},
};

/// The task of one protocol with one peer: runs it, and ends the peer when it ends.
///
/// Written by hand, as there is one for every peer and protocol, and an `async` block would keep
/// the channel three times over.
pub(crate) struct Task {
    protocol: Arc<Protocol>,
    peer: Peer,
    state: State,
}

enum State {
    Starting(Option<Channel>),
    Running(BoxFuture<'static, Result<(), ProtocolError>>),
}

/// How a protocol ended: by itself, or by a panic.
type Ended = std::thread::Result<Result<(), ProtocolError>>;

impl Task {
    pub(crate) fn new(protocol: Arc<Protocol>, peer: Peer, channel: Channel) -> Self {
        Self { protocol, peer, state: State::Starting(Some(channel)) }
    }

    /// What the end of the protocol means for the peer, which is told here to people.
    fn judge(&self, ended: Ended) -> DisconnectReason {
        let (id, protocol) = (self.peer.id(), &self.protocol.name);
        match ended {
            Ok(Ok(())) => DisconnectReason::ClientQuitting,
            Ok(Err(error)) => {
                if !matches!(error, ProtocolError::Closed) {
                    tracing::debug!(peer = %id, protocol, %error, "protocol ended");
                }
                error.reason()
            }
            Err(_) => {
                tracing::error!(peer = %id, protocol, "protocol panicked");
                DisconnectReason::SubprotocolReason
            }
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let step = || {
            if let State::Starting(channel) = &mut this.state {
                let Some(channel) = channel.take() else { return Poll::Ready(Ok(())) };
                this.state = State::Running(this.protocol.run(this.peer.clone(), channel));
            }
            match &mut this.state {
                State::Running(run) => run.as_mut().poll(cx),
                State::Starting(_) => Poll::Ready(Ok(())),
            }
        };
        // A future that panicked is never polled again.
        let ended = match catch_unwind(AssertUnwindSafe(step)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => Ok(result),
            Err(panic) => Err(panic),
        };
        let reason = self.judge(ended);
        self.peer.disconnect(reason);
        Poll::Ready(())
    }
}
