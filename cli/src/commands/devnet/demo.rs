//! The protocol of the devnet: both ends send numbered messages, and check those they get.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use peerage::{DisconnectReason, NodeId, Protocol, ProtocolError};

use super::Done;

/// The bytes of a message's number.
const NUMBER_SIZE: usize = 8;

/// One end of every exchange of one server.
pub(super) struct Exchange {
    /// The number of the server.
    pub(super) node: usize,
    /// How many messages each end sends.
    pub(super) messages: u64,
    /// What each carries beside its number.
    pub(super) filling: Bytes,
    /// Counts for progress.
    pub(super) live: Arc<Live>,
    /// Told once every message of a peer is there; one message per connection.
    pub(super) done: Done,
}

/// What has arrived at all servers so far, for the progress bar alone.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Messages.
    pub(super) messages: AtomicU64,
}

/// A server has got every message of a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchanged {
    /// The number of the server.
    pub(super) node: usize,
    /// The peer.
    pub(super) from: NodeId,
    /// How many messages.
    pub(super) messages: u64,
    /// How many bytes of payload in them.
    pub(super) bytes: u64,
}

/// `demo/1`, with one message: 8 bytes of number, and a filling that follows from it.
pub(super) fn protocol(exchange: Exchange) -> Protocol {
    let exchange = Arc::new(exchange);
    Protocol::new("demo", 1, 1, move |peer, channel| {
        let exchange = Arc::clone(&exchange);
        async move {
            let (sender, mut receiver) = channel.split();
            let send = async {
                for number in 0..exchange.messages {
                    sender.send(0x00, message(number, &exchange.filling)).await?;
                }
                Ok::<_, ProtocolError>(())
            };
            let receive = async {
                for number in 0..exchange.messages {
                    let Some(message) = receiver.recv().await else {
                        return Err(ProtocolError::Closed);
                    };
                    if message.code != 0x00
                        || !is_message(&message.payload, number, &exchange.filling)
                    {
                        return Err(DisconnectReason::BreachOfProtocol.into());
                    }
                    exchange.live.messages.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            };
            // Together: two ends that only sent would wait for each other for ever.
            tokio::try_join!(send, receive)?;
            let _ = exchange.done.send(Exchanged {
                node: exchange.node,
                from: peer.id(),
                messages: exchange.messages,
                bytes: exchange.messages * (NUMBER_SIZE + exchange.filling.len()) as u64,
            });
            // Stay connected until the devnet stops.
            while receiver.recv().await.is_some() {}
            Ok(())
        }
    })
}

/// What messages of `size` bytes carry beside their number: hardly compressible, so that the bytes
/// counted are those on the wire. Made once, so that the devnet measures its servers and not this.
pub(super) fn filling(size: usize) -> Bytes {
    let length = size.saturating_sub(NUMBER_SIZE);
    let mut bytes = Vec::with_capacity(length + 8);
    // A 64-bit linear congruential generator (Knuth's MMIX constants).
    let mut state = 1_u64;
    while bytes.len() < length {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

fn message(number: u64, filling: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes(), filling].concat()
}

fn is_message(payload: &[u8], number: u64, filling: &[u8]) -> bool {
    payload.split_at_checked(NUMBER_SIZE) == Some((&number.to_be_bytes(), filling))
}
