//! TALKREQs of others that wait for the answer of a handler.

use std::{collections::BTreeSet, time::Duration};

use peerage_machine::{ExpiringMap, Instant, tree_memory};
use peerage_node::{SubnetCounts, is_lan};

use super::{
    packet::{MAX_MESSAGE_SIZE, RequestId},
    sessions::Remote,
};

/// How many wait at a time.
const MAX_WAITING: usize = 256;

/// How many of them may be from one address, or one IPv6 /64, local networks excepted.
const MAX_PER_ADDRESS: usize = 16;

/// Protocols with a handler.
pub(super) const MAX_PROTOCOLS: usize = 64;

/// The most bytes of a response: what fits into one packet, with the longest id before it.
pub const MAX_TALK_RESPONSE: usize = MAX_MESSAGE_SIZE - 16;

/// The most bytes of a request, together with the name of its protocol.
pub const MAX_TALK_REQUEST: usize = MAX_TALK_RESPONSE - 3;

/// A TALKREQ that waits for its answer. Chosen by the machine, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TalkId(pub u64);

/// All that wait, and who has a handler.
#[derive(Debug)]
pub(super) struct Talks {
    protocols: BTreeSet<Vec<u8>>,
    waiting: ExpiringMap<TalkId, (Remote, RequestId)>,
    addresses: SubnetCounts,
    next: u64,
}

impl Talks {
    pub(super) fn new() -> Self {
        Self {
            protocols: BTreeSet::new(),
            waiting: ExpiringMap::new(MAX_WAITING),
            addresses: SubnetCounts::with_prefix(MAX_PER_ADDRESS, 32, 64),
            next: 0,
        }
    }

    /// Says whether a protocol has a handler. Those beyond [`MAX_PROTOCOLS`] have none.
    pub(super) fn set_protocol(&mut self, protocol: Vec<u8>, has_handler: bool) {
        if !has_handler {
            self.protocols.remove(&protocol);
        } else if self.protocols.len() < MAX_PROTOCOLS {
            self.protocols.insert(protocol);
        }
    }

    /// Whether a protocol has a handler.
    pub(super) fn has_handler(&self, protocol: &[u8]) -> bool {
        self.protocols.contains(protocol)
    }

    /// Lets a request wait for at most `time`; `None` if too many do.
    pub(super) fn add(
        &mut self,
        now: Instant,
        time: Duration,
        remote: Remote,
        request: RequestId,
    ) -> Option<TalkId> {
        while let Some((_, (old, _))) = self.waiting.pop_expired(now) {
            self.forget(&old);
        }
        let ip = remote.addr.ip();
        if self.waiting.len() >= MAX_WAITING || !is_lan(ip) && !self.addresses.add(ip) {
            return None;
        }
        let id = TalkId(self.next);
        self.next += 1;
        self.waiting.insert(id, (remote, request), now + time);
        Some(id)
    }

    /// A handler has answered: whom, if that waits for it still.
    pub(super) fn take(&mut self, now: Instant, id: TalkId) -> Option<(Remote, RequestId)> {
        let waiting = *self.waiting.get(&id, now)?;
        self.waiting.remove(&id);
        self.forget(&waiting.0);
        Some(waiting)
    }

    /// The bytes held.
    pub(super) fn memory(&self) -> usize {
        self.waiting.memory()
            + self.addresses.memory()
            + tree_memory::<Vec<u8>, ()>(self.protocols.len())
            + self.protocols.iter().map(Vec::len).sum::<usize>()
    }

    /// The most bytes held.
    pub(super) const fn memory_bound() -> usize {
        ExpiringMap::<TalkId, (Remote, RequestId)>::memory_bound(MAX_WAITING)
            + SubnetCounts::memory_bound(MAX_WAITING)
            + tree_memory::<Vec<u8>, ()>(MAX_PROTOCOLS)
            + MAX_PROTOCOLS * MAX_TALK_REQUEST
    }

    fn forget(&mut self, remote: &Remote) {
        if !is_lan(remote.addr.ip()) {
            self.addresses.remove(remote.addr.ip());
        }
    }
}
