//! A server for a question or two: discovery at a free port, no connections, nothing kept.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use peerage::{Node, SecretKey, Server, Version};

use crate::failure::Failure;

/// Starts it by this version of discovery, where it can reach at least the first of `nodes`; it
/// knows `bootnodes` from the start.
pub(crate) async fn start(
    key: SecretKey,
    version: Version,
    nodes: &[Node],
    bootnodes: &[Node],
) -> Result<Server, Failure> {
    let mut builder = Server::builder(key)
        .dialing(false)
        .discovery_listen(any_address(nodes.first()))
        .discovery_versions([version]);
    for node in bootnodes {
        builder = builder.bootnode(node.clone());
    }
    Ok(builder.start().await?)
}

/// Every address of the family in which `node` is reached, at a free port.
fn any_address(node: Option<&Node>) -> SocketAddr {
    let endpoint = node.and_then(|node| node.udp_endpoints().first().copied());
    match endpoint {
        Some(SocketAddr::V6(_)) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        _ => (Ipv4Addr::UNSPECIFIED, 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_that_of_the_node_and_ipv4_for_a_name() {
        let key = "ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd3138\
                   7574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f";
        for (host, is_ipv4) in [("10.0.0.1", true), ("[2001:db8::1]", false), ("a.example", true)] {
            let node: Node = format!("enode://{key}@{host}:30303").parse().unwrap();
            assert_eq!(any_address(Some(&node)).is_ipv4(), is_ipv4, "{host}");
        }
        assert!(any_address(None).is_ipv4());
    }
}
