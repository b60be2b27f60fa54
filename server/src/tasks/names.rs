//! Names of hosts: asking the system's resolver, within a time.

use std::net::IpAddr;

use peerage_node::Node;
use peerage_peering::NAME_PATIENCE;
use tokio::{net::lookup_host, time::timeout};

/// Every address of `host`; none if it has none, or the resolver does not answer in time.
pub(crate) async fn resolve(host: &str) -> Vec<IpAddr> {
    match timeout(NAME_PATIENCE, lookup_host((host, 0))).await {
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
