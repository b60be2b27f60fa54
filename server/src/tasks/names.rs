//! Names of hosts: asking the system's resolver, within a time.

use std::{net::IpAddr, time::Duration};

use peerage_node::Node;
use tokio::{net::lookup_host, time::timeout};

/// How long a name may take to be resolved: as long as a resolver takes to ask its first server
/// twice.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Every address of `host`; none if it has none, or the resolver does not answer in time.
pub(crate) async fn resolve(host: &str) -> Vec<IpAddr> {
    match timeout(TIMEOUT, lookup_host((host, 0))).await {
        Ok(Ok(addresses)) => addresses.map(|address| address.ip().to_canonical()).collect(),
        Ok(Err(error)) => {
            tracing::debug!(host, %error, "cannot resolve a name");
            Vec::new()
        }
        Err(_) => {
            tracing::debug!(host, "no answer to a name in time");
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
