//! The handlers of TALKREQs, and those of their answers that are being made.

use std::{collections::BTreeMap, panic::AssertUnwindSafe};

use futures_util::FutureExt as _;
use peerage_discovery::v5::TalkId;
use tokio::task::JoinSet;

use crate::talk::{TalkHandler, TalkRequest};

/// Answers that are being made at a time. The machine lets as many requests wait, for a second
/// each; handlers may take longer, and then others get no answer.
const MOST: usize = 1024;

#[derive(Default)]
pub(super) struct Talking {
    handlers: BTreeMap<Vec<u8>, TalkHandler>,
    answers: JoinSet<Option<(TalkId, Vec<u8>)>>,
}

impl Talking {
    /// Sets the handler of a protocol, or takes it away. Whether there is one now.
    pub(super) fn set(&mut self, protocol: &[u8], handler: Option<TalkHandler>) -> bool {
        match handler {
            Some(handler) => {
                self.handlers.insert(protocol.to_vec(), handler);
                true
            }
            None => {
                self.handlers.remove(protocol);
                false
            }
        }
    }

    /// Has a request answered by the handler of its protocol.
    pub(super) fn on_request(&mut self, id: TalkId, request: TalkRequest) {
        let Some(handler) = self.handlers.get(&request.protocol).cloned() else { return };
        if self.answers.len() >= MOST {
            return;
        }
        self.answers.spawn(async move {
            // The handler is the user's, and may panic in either part.
            let answering = AssertUnwindSafe(async move { handler(request).await });
            match answering.catch_unwind().await {
                Ok(response) => Some((id, response)),
                Err(_) => {
                    tracing::error!("a handler of TALKREQ panicked");
                    None
                }
            }
        });
    }

    /// The next answer that was made.
    ///
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> (TalkId, Vec<u8>) {
        loop {
            match self.answers.join_next().await {
                Some(Ok(Some(answer))) => return answer,
                // It panicked.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}
