//! Candidates for dialing as an embedding program sees them: a source of its own, and why a node
//! was not taken.
//!
//! Not here: how the sources are mixed, which is `peerage-discovery`'s business.

use std::time::Duration;

pub use peerage_discovery::candidates::{Cause, Unfit};
use peerage_node::{Node, Source};
use peerage_peering::envelope::Skip;
use tokio::sync::{mpsc, watch};

use crate::tasks::notice::Notice;

/// Why a candidate was not taken, the last time that it was found. See
/// [`Server::why_not_taken`](crate::Server::why_not_taken).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotTaken {
    /// Who found it.
    pub source: Source,
    /// Why it was not taken; [`Cause::Waiting`] if it still may be.
    pub cause: Cause<Skip>,
    /// How long ago that was found, or since when it waits.
    pub ago: Duration,
}

/// A source of candidates of one's own: a protocol that hears of nodes, a list somewhere. See
/// [`Server::candidate_source`](crate::Server::candidate_source).
///
/// It has its turn beside discovery and the other sources. Dropped, it is a source no longer, and
/// nodes of it that wait are not taken.
#[derive(Debug)]
pub struct CandidateSource {
    source: Source,
    wanted: watch::Receiver<usize>,
    tell: mpsc::UnboundedSender<Notice>,
}

impl CandidateSource {
    /// The source of this name, which brings nodes from now on.
    pub(crate) fn new(source: Source, tell: mpsc::UnboundedSender<Notice>) -> Self {
        let (wants, wanted) = watch::channel(0);
        // Fails if the server has stopped; then nothing is wanted.
        let _ = tell.send(Notice::AddSource { source, wants });
        Self { source, wanted, tell }
    }

    /// Which source it is, as events and causes name it.
    pub const fn source(&self) -> Source {
        self.source
    }

    /// Names a node that may be dialed when a place is free. One that is not taken is named with
    /// the cause in an [`Event::CandidateSkipped`](crate::Event::CandidateSkipped).
    pub fn offer(&self, node: Node) {
        let (node, source) = (Box::new(node), self.source);
        // Fails if the server has stopped.
        let _ = self.tell.send(Notice::Candidate { node, source });
    }

    /// Waits until candidates of this source are wanted, and tells how many; 0 once the server has
    /// stopped.
    ///
    /// A few more may wait for their turn. Of those beyond, the last are not taken.
    ///
    /// Cancel safe.
    pub async fn wanted(&self) -> usize {
        wanted(&self.wanted).await
    }
}

impl Drop for CandidateSource {
    fn drop(&mut self) {
        // Nobody is told any more, as the task sees when it hears of that.
        self.wanted = watch::channel(0).1;
        let _ = self.tell.send(Notice::RemoveSource(self.source));
    }
}

/// Waits until something is wanted; 0 once nobody is left to want it.
pub(crate) async fn wanted(wanted: &watch::Receiver<usize>) -> usize {
    wanted.clone().wait_for(|wanted| *wanted > 0).await.map_or(0, |wanted| *wanted)
}
