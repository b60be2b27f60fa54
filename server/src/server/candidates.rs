//! Candidates for dialing as the handle of a server takes them.

use peerage_node::{Node, NodeId, Source};
use tokio::sync::oneshot;

use super::Server;
use crate::{
    candidates::{self, CandidateSource, NotTaken},
    tasks::notice::Notice,
};

impl Server {
    /// Names a node that may be dialed when a place is free. See
    /// [`candidates_wanted`](Self::candidates_wanted). One that is not taken is named with the
    /// cause in an [`Event::CandidateSkipped`](crate::Event::CandidateSkipped).
    ///
    /// All that are named so are of the source [`Source::USER`]. What finds nodes by itself is
    /// better a source of its own: [`candidate_source`](Self::candidate_source).
    pub fn add_candidate(&self, node: Node) {
        let (node, source) = (Box::new(node), Source::USER);
        // Fails if the server has stopped.
        let _ = self.0.tell.send(Notice::Candidate { node, source });
    }

    /// Waits until candidates are wanted, and tells how many; 0 once the server has stopped.
    ///
    /// For sources of nodes. A few more wait until they are wanted; of those beyond, the last are
    /// not taken.
    pub async fn candidates_wanted(&self) -> usize {
        candidates::wanted(&self.0.wanted).await
    }

    /// A source of candidates beside discovery, with its own share of the dials: for a protocol
    /// that hears of nodes, or a list somewhere. Two with one name are one source.
    pub fn candidate_source(&self, name: &'static str) -> CandidateSource {
        CandidateSource::new(Source::new(name), self.0.tell.clone())
    }

    /// Why a node that was found, by whichever source, was not taken the last time; `None` if it
    /// was, or nobody has found it within the last hour, or the server has stopped.
    pub async fn why_not_taken(&self, id: NodeId) -> Option<NotTaken> {
        let (done, answer) = oneshot::channel();
        self.0.tell.send(Notice::WhyNotTaken { id, done }).ok()?;
        answer.await.ok().flatten()
    }
}
