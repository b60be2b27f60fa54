//! Names of hosts: asking the system's resolver, within a time.

use std::net::{IpAddr, SocketAddr};

use peerage_node::Node;
use peerage_peering::Names;
use tokio::{net::lookup_host, time::timeout};

/// Every address of `host`; none if it has none, or the resolver does not answer in time.
pub(crate) async fn resolve(host: &str) -> Vec<IpAddr> {
    match timeout(Names::PATIENCE, lookup_host((host, 0))).await {
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

/// The node at the first address of its name; as it was, if it has no name or the name no address.
///
/// IPv4 first: nearly every node of Ethereum has it.
pub(crate) async fn with_address(node: Node) -> Node {
    let Some(host) = node.hostname() else { return node };
    let addresses = resolve(host).await;
    let first = addresses.iter().find(|ip| ip.is_ipv4()).or(addresses.first()).copied();
    let Some(ip) = first else { return node };
    let (tcp, udp) = (node.tcp_port(), node.udp_port());
    let node = match tcp {
        Some(port) => node.with_tcp_endpoint(SocketAddr::new(ip, port)),
        None => node,
    };
    match udp {
        Some(port) => node.with_udp_endpoint(SocketAddr::new(ip, port)),
        None => node,
    }
}
