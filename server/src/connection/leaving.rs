//! The end of a stream whose goodbye has been written.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    time::{Instant, Sleep},
};

use crate::dialer::BoxedStream;

/// How long the peer has to hang up. Short, as it costs a file descriptor that nobody counts.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much is read and thrown away meanwhile.
const APPETITE: usize = 1 << 20;

/// Waits for the peer to hang up, so that it reads our reason.
///
/// A socket that is closed with bytes unread is reset at once, and a reset makes the peer's system throw
/// away what the peer has not read yet: the reason.
pub(crate) struct Leaving {
    stream: BoxedStream,
    alarm: Pin<Box<Sleep>>,
    left: usize,
    shut: bool,
}

impl Leaving {
    pub(super) fn new(stream: BoxedStream, mut alarm: Pin<Box<Sleep>>) -> Self {
        alarm.as_mut().reset(Instant::now() + PATIENCE);
        Self { stream, alarm, left: APPETITE, shut: false }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.alarm.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !self.shut {
            if ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            self.shut = true;
        }
        let mut waste = [0; 1024];
        while self.left > 0 {
            let mut buffer = ReadBuf::new(&mut waste);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    self.left = self.left.saturating_sub(buffer.filled().len());
                }
                _ => break,
            }
        }
        Poll::Ready(())
    }
}
