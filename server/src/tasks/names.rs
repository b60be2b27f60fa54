//! Names of hosts: asking the system's resolver.
//!
//! Not here: how many names are asked for at once, and for how long ([`Names`]).

use std::net::IpAddr;

use peerage_machine::{Machine as _, Now};
use peerage_node::Node;
use peerage_peering::{NAME_PATIENCE, Names, NamesInput, NamesOutput};
use tokio::{net::lookup_host, task::JoinSet, time::timeout};

use super::clock::Clock;

/// The names that a task wants resolved. With it goes what is under way.
#[derive(Debug)]
pub(crate) struct Resolver<K> {
    clock: Clock,
    names: Names<K>,
    /// As many as [`Names`] asks for, and those that it has given up.
    lookups: JoinSet<(K, Vec<IpAddr>)>,
}

impl<K: Copy + PartialEq + Send + 'static> Resolver<K> {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, names: Names::default(), lookups: JoinSet::new() }
    }

    /// Has a name resolved: [`next`](Self::next) gives the answer.
    pub(crate) fn resolve(&mut self, resolve: K, host: String) {
        self.names.handle_input(self.now(), NamesInput::Resolve { resolve, host });
    }

    /// Waits for an answer: all addresses of a name, or none. Cancel safe.
    pub(crate) async fn next(&mut self) -> (K, Vec<IpAddr>) {
        loop {
            while let Some(output) = self.names.poll_output() {
                match output {
                    NamesOutput::Ask { resolve, host } => {
                        self.lookups.spawn(async move { (resolve, look_up(&host).await) });
                    }
                    NamesOutput::Resolved { resolve, addresses } => return (resolve, addresses),
                }
            }
            tokio::select! {
                Some(answer) = self.lookups.join_next() => {
                    // A lookup that panicked is given up in time.
                    if let Ok((resolve, addresses)) = answer {
                        let answered = NamesInput::Answered { resolve, addresses };
                        self.names.handle_input(self.now(), answered);
                    }
                }
                () = self.clock.until(self.names.poll_timeout()) => {
                    self.names.handle_timeout(self.now());
                }
            }
        }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }
}

/// Every address of `host`; none if it has none, or the resolver does not answer in time.
pub(crate) async fn resolve(host: &str) -> Vec<IpAddr> {
    timeout(NAME_PATIENCE, look_up(host)).await.unwrap_or_else(|_| {
        tracing::debug!(host, "no answer to a name in time");
        Vec::new()
    })
}

/// Every address of `host`; none if it has none. Takes as long as the system likes.
async fn look_up(host: &str) -> Vec<IpAddr> {
    match lookup_host((host, 0)).await {
        Ok(addresses) => addresses.map(|address| address.ip().to_canonical()).collect(),
        Err(error) => {
            tracing::debug!(host, %error, "cannot resolve a name");
            Vec::new()
        }
    }
}

/// The node at the address that its name stands for; as it was, if it has no name or the name no
/// address.
pub(crate) async fn with_address(node: Node) -> Node {
    let Some(host) = node.hostname() else { return node };
    let addresses = resolve(host).await;
    node.resolved_to(&addresses)
}
