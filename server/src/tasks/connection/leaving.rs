//! The end of a stream whose goodbye has been written.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use peerage_rlpx::Linger;
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};

use crate::{dialer::BoxedStream, tasks::clock::Clock};

/// The places of a server for connections that leave.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(Linger::MOST)))
    }
}

/// A stream that is kept until the peer hangs up, so that it reads our reason: see [`Linger`].
pub(crate) struct Leaving {
    stream: BoxedStream,
    alarm: Pin<Box<Sleep>>,
    linger: Linger,
    shut: bool,
    _place: OwnedSemaphorePermit,
}

impl Leaving {
    /// `None`, with the stream closed, where too many are leaving already.
    pub(super) fn new(
        stream: BoxedStream,
        mut alarm: Pin<Box<Sleep>>,
        linger: Linger,
        clock: &Clock,
        places: &Places,
    ) -> Option<Self> {
        let place = places.0.clone().try_acquire_owned().ok()?;
        alarm.as_mut().reset(clock.tokio(linger.deadline()));
        Some(Self { stream, alarm, linger, shut: false, _place: place })
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
        while self.linger.read_budget() > 0 {
            let budget = self.linger.read_budget().min(waste.len());
            let mut buffer = ReadBuf::new(&mut waste[..budget]);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.linger.on_read(buffer.filled().len()),
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn new(stream: tokio::io::DuplexStream, places: &Places) -> Option<Leaving> {
        let alarm = Box::pin(tokio::time::sleep(Duration::from_secs(10)));
        let clock = Clock::start();
        Leaving::new(Box::new(stream), alarm, Linger::new(clock.now()), &clock, places)
    }

    fn leave(stream: tokio::io::DuplexStream) -> tokio::task::JoinHandle<()> {
        let mut leaving = new(stream, &Places::default()).unwrap();
        tokio::spawn(async move { poll_fn(|cx| leaving.poll(cx)).await })
    }

    #[tokio::test(start_paused = true)]
    async fn the_stream_stays_until_the_peer_has_read_everything_and_hung_up() {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        ours.write_all(b"the reason").await.unwrap();
        let leaving = leave(ours);
        // More than the pipe holds: it is read away.
        theirs.write_all(&[7; 1000]).await.unwrap();
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"the reason");
        assert!(!leaving.is_finished());
        drop(theirs);
        leaving.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_longer_than_a_second() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let before = Clock::start();
        leave(ours).await.unwrap();
        assert_eq!(before.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_leave_than_there_are_places_and_each_gives_its_place_back() {
        let one = Places(Arc::new(Semaphore::new(1)));
        let (mut streams, mut others) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (stream, other) = tokio::io::duplex(64);
            streams.push(stream);
            others.push(other);
        }
        let mut enter = || new(streams.pop().unwrap(), &one);
        let first = enter();
        assert!(first.is_some() && enter().is_none());
        drop(first);
        assert!(enter().is_some());
    }
}
