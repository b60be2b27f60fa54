//! What a connection holds for its peer.

use super::{Closing, Connection, Keyed, Open, Shaking, State};
use crate::Shared;

/// The most bytes of buffer that a peer can make us hold before it is admitted, whatever it sends
/// and however little it reads. Our own Hello counts: it is taken to be below 512 bytes.
const MAX_UNADMITTED_BUFFER: usize = 4096;

impl Connection {
    /// The most that [`memory`](Self::memory) is before the second verdict.
    ///
    /// Of two states that follow each other, the later is made while the earlier is still there.
    pub const MAX_UNADMITTED: usize =
        MAX_UNADMITTED_BUFFER + size_of::<Shaking>() + size_of::<Keyed>();

    /// The bytes held, estimated from capacities; without the size of the value itself and the
    /// shared settings. The state is counted as it lies on the heap; what a step took with it is
    /// not.
    ///
    /// Cheap enough to be asked for after each event.
    pub fn memory(&self) -> usize {
        self.state.boxed() + self.state.buffers()
    }
}

impl State {
    /// The bytes of the state that lie on the heap.
    const fn boxed(&self) -> usize {
        match self {
            Self::Shaking(_) => size_of::<Shaking>(),
            Self::Shaken { .. }
            | Self::Identified { .. }
            | Self::Greeting { .. }
            | Self::Ready { .. } => size_of::<Keyed>(),
            Self::Open(_) => size_of::<Open>(),
            Self::Closing(_) => size_of::<Closing>(),
            Self::Ended(_) | Self::Closed(_) => 0,
        }
    }

    /// The bytes of its buffers: what grows and shrinks with what is said.
    fn buffers(&self) -> usize {
        match self {
            Self::Shaking(shaking) => shaking.memory(),
            Self::Shaken { keyed, .. }
            | Self::Identified { keyed, .. }
            | Self::Greeting { keyed, .. } => keyed.memory(),
            Self::Ready { keyed, shared } => keyed.memory() + size_of_val::<[Shared]>(shared),
            Self::Open(open) => {
                let halves = open.incoming.memory() + open.outgoing.memory();
                halves + size_of_val(open.incoming.shared())
            }
            Self::Closing(closing) => closing.goodbye.memory(),
            Self::Ended(_) | Self::Closed(_) => 0,
        }
    }
}

#[cfg(test)]
impl Connection {
    /// What is held in buffers, and the most of it before the second verdict.
    pub(super) fn buffers(&self) -> (usize, usize) {
        (self.state.buffers(), MAX_UNADMITTED_BUFFER)
    }

    /// The bytes of the state on the heap.
    pub(super) const fn boxed(&self) -> usize {
        self.state.boxed()
    }
}
