//! Boot nodes that are known by name: asked for again and again, as the address behind a name
//! changes.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use peerage_node::Node;

use crate::tasks::names;

/// How long an answer is believed. Short, as a boot node is needed most when no other node is left;
/// the system keeps answers for as long as they are good.
const AGAIN: Duration = Duration::from_secs(60);

/// Boot nodes by name, each told whenever its name has been resolved.
pub(super) struct Bootnodes(stream::BoxStream<'static, Node>);

impl Bootnodes {
    pub(super) fn new(bootnodes: &[Node]) -> Self {
        let mut named = Vec::new();
        for node in bootnodes {
            if node.hostname().is_some() {
                named.push(follow(node.clone()).boxed());
            } else if node.udp_endpoints().is_empty() {
                tracing::warn!(%node, "this boot node has no UDP endpoint, so it cannot be asked");
            }
        }
        Self(stream::select_all(named).boxed())
    }

    /// The next that was resolved; `None` if there are none by name.
    pub(super) async fn next(&mut self) -> Option<Node> {
        self.0.next().await
    }
}

/// A named node with its address, at once and then for ever.
fn follow(named: Node) -> impl Stream<Item = Node> + Send {
    stream::unfold((named, Duration::ZERO), |(named, wait)| async move {
        let mut wait = wait;
        loop {
            tokio::time::sleep(wait).await;
            wait = AGAIN;
            let node = names::with_address(named.clone()).await;
            if !node.udp_endpoints().is_empty() {
                return Some((node, (named, wait)));
            }
            tracing::warn!(node = %named, "cannot resolve the name of this boot node; trying again");
        }
    })
}
