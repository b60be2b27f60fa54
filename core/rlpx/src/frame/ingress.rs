//! The receiving half: frames into messages.

use super::{HEAD, HEADER, MAX_HELLO, Stream, snappy, tail};
use crate::{
    PeerMisbehaved, code,
    mac::{Mac, Tag},
};

/// The largest buffer that is kept for the next frame.
///
/// # Security
///
/// Enough for messages of 1 MiB to come without allocations. Without it, a peer could send one
/// frame of 16 MiB and then keep that much of our memory at the price of a ping now and then, as
/// the connection would never idle.
const MAX_KEPT: usize = 2 << 20;

/// The receiving half of a connection.
///
/// Begins with the limits of a connection before Hello: frames of at most [`MAX_HELLO`] bytes, no
/// compression.
///
/// # Security
///
/// Nothing is decrypted before its MAC was found right, and the memory held for a frame grows with
/// what has arrived of it, not with what its header announced. After a fault, every call returns
/// that fault.
pub struct Ingress {
    stream: Stream,
    mac: Mac,
    snappy: bool,
    limit: usize,
    awaiting: Awaiting,
    /// What has arrived of the awaited part, if not all of it came at once.
    pub(super) held: Vec<u8>,
}

/// What comes next.
#[derive(Clone, Copy)]
enum Awaiting {
    /// The end of a frame whose header announced this size; its MAC has absorbed what is held.
    Body(usize),
    Head,
    /// Nothing: the peer broke the protocol.
    Nothing(PeerMisbehaved),
}

impl Ingress {
    pub(crate) fn new(aes_secret: &[u8; 32], mac: Mac) -> Self {
        Self {
            stream: Stream::new(aes_secret),
            mac,
            snappy: false,
            limit: MAX_HELLO,
            awaiting: Awaiting::Head,
            held: Vec::new(),
        }
    }

    /// Takes bytes from the front of `input`, up to the end of a message or of `input`.
    ///
    /// `Some(id)` is a message: `payload` now holds its payload, decompressed, in place of what it
    /// held before; call again for what is left of `input`. `None` is that all of `input` was
    /// taken. A frame that lies in `input` as a whole is decrypted there, without being copied.
    pub fn open(
        &mut self,
        input: &mut &mut [u8],
        payload: &mut Vec<u8>,
    ) -> Result<Option<u64>, PeerMisbehaved> {
        let opened = self.advance(input, payload);
        if let Err(fault) = opened {
            self.awaiting = Awaiting::Nothing(fault);
            self.held = Vec::new();
        }
        opened
    }

    /// How many bytes are missing until a header or a frame is complete: a driver that reads no
    /// more than this never holds a byte beyond the message at hand. At least 1.
    pub fn needs(&self) -> usize {
        match self.awaiting {
            Awaiting::Body(size) => tail(size) - self.held.len(),
            Awaiting::Head => HEAD - self.held.len(),
            Awaiting::Nothing(_) => 1,
        }
    }

    /// Whether a frame has begun and not ended.
    pub const fn has_partial(&self) -> bool {
        matches!(self.awaiting, Awaiting::Body(_)) || !self.held.is_empty()
    }

    /// Refuses frames above `max_frame` bytes, at their header, from the next header on.
    pub fn set_limit(&mut self, max_frame: usize) {
        self.limit = max_frame;
    }

    /// Decompresses the payloads of all further messages: both ends have said Hello.
    pub fn enable_snappy(&mut self) {
        self.snappy = true;
    }

    /// Frees the buffer for partial frames if it is empty. For connections that idle.
    pub fn release(&mut self) {
        if !self.has_partial() {
            self.held = Vec::new();
        }
    }

    /// The bytes held of a frame that is not complete, or kept for the next one.
    pub(crate) const fn memory(&self) -> usize {
        self.held.capacity()
    }

    fn advance(
        &mut self,
        input: &mut &mut [u8],
        payload: &mut Vec<u8>,
    ) -> Result<Option<u64>, PeerMisbehaved> {
        loop {
            match self.awaiting {
                Awaiting::Head => {
                    if self.held.is_empty()
                        && let Some(head) = input.split_off_mut(..HEAD)
                    {
                        self.awaiting = Awaiting::Body(self.open_head(head)?);
                    } else if self.hold(input, HEAD, 0) {
                        let mut head = std::mem::take(&mut self.held);
                        self.awaiting = Awaiting::Body(self.open_head(&mut head)?);
                        head.clear();
                        self.held = head;
                    } else {
                        return Ok(None);
                    }
                }
                Awaiting::Body(size) => {
                    let body = tail(size) - Tag::SIZE;
                    if self.held.is_empty()
                        && let Some(frame) = input.split_off_mut(..tail(size))
                    {
                        self.mac.absorb(&frame[..body]);
                        self.awaiting = Awaiting::Head;
                        return self.open_body(frame, size, payload).map(Some);
                    }
                    if !self.hold(input, tail(size), body) {
                        return Ok(None);
                    }
                    let mut frame = std::mem::take(&mut self.held);
                    self.awaiting = Awaiting::Head;
                    let id = self.open_body(&mut frame, size, payload)?;
                    if frame.capacity() <= MAX_KEPT {
                        frame.clear();
                        self.held = frame;
                    }
                    return Ok(Some(id));
                }
                Awaiting::Nothing(fault) => return Err(fault),
            }
        }
    }

    /// Moves bytes from `input` to what is held, until that is `whole` bytes, and authenticates
    /// those of them that are within its first `body` bytes. Returns whether the whole is there.
    fn hold(&mut self, input: &mut &mut [u8], whole: usize, body: usize) -> bool {
        let before = self.held.len();
        let taken = input.len().min(whole - before);
        let arrived = input.split_off_mut(..taken).expect("because this much is there");
        let after = before + taken;
        if after > self.held.capacity() {
            // Doubling keeps copying linear; there is no use in growing beyond the frame.
            self.held.reserve_exact(after.max(2 * before).min(whole) - before);
        }
        self.held.extend_from_slice(arrived);
        if before < body {
            self.mac.absorb(&self.held[before..after.min(body)]);
        }
        after == whole
    }

    /// Checks and decrypts a header with its MAC, and returns the size of the frame.
    fn open_head(&mut self, head: &mut [u8]) -> Result<usize, PeerMisbehaved> {
        let (header, tag) = head.split_at_mut(HEADER);
        let sealed = (&*header).try_into().expect("because it was split off at this length");
        if !self.mac.header(sealed).matches(tag) {
            return Err(PeerMisbehaved::BadHeaderMac);
        }
        self.stream.apply(header);
        // What follows the size, a list of two zeros and padding, says nothing: it is ignored.
        let size =
            usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        if size > self.limit {
            return Err(PeerMisbehaved::FrameTooLarge { size, limit: self.limit });
        }
        Ok(size)
    }

    /// Checks and decrypts a body with its MAC, which the running MAC has absorbed already, and
    /// decodes the message in its first `size` bytes.
    fn open_body(
        &mut self,
        frame: &mut [u8],
        size: usize,
        payload: &mut Vec<u8>,
    ) -> Result<u64, PeerMisbehaved> {
        let (body, tag) = frame.split_at_mut(frame.len() - Tag::SIZE);
        if !self.mac.frame().matches(tag) {
            return Err(PeerMisbehaved::BadFrameMac);
        }
        self.stream.apply(body);
        let (id, data) = decode_id(&body[..size]).ok_or(PeerMisbehaved::BadMessageId)?;
        if !self.snappy || data.is_empty() {
            copy(data, payload);
        } else if let Err(fault) = snappy::decompress(data, payload) {
            // Some implementations never compress a Disconnect, and it must be understood all the
            // same: it says why the connection ends.
            if id != code::DISCONNECT {
                return Err(fault);
            }
            copy(data, payload);
        }
        Ok(id)
    }
}

impl std::fmt::Debug for Ingress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingress")
            .field("snappy", &self.snappy)
            .field("limit", &self.limit)
            .field("needs", &self.needs())
            .finish_non_exhaustive()
    }
}

fn copy(data: &[u8], payload: &mut Vec<u8>) {
    payload.clear();
    payload.extend_from_slice(data);
}

/// Splits a message into its id, which is a canonical RLP integer, and its payload.
fn decode_id(body: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, rest) = body.split_first()?;
    match first {
        0x00 => None,
        0x01..=0x7f => Some((u64::from(first), rest)),
        0x80 => Some((0, rest)),
        0x81..=0x88 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            let id = digits.iter().fold(0, |id, digit| id << 8 | u64::from(*digit));
            let canonical = digits[0] != 0 && id > 0x7f;
            canonical.then_some((id, rest))
        }
        0x89.. => None,
    }
}
