//! The numbers of a table.

use std::{net::SocketAddr, time::Duration};

use peerage_node::Node;

/// How large a table is, whom it takes, and how often it checks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableConfig {
    /// Nodes per bucket: Kademlia's k, fixed by the specification.
    pub bucket_size: usize,
    /// Nodes that wait for a place, per bucket.
    pub replacements: usize,
    /// Addresses of one /24 (IPv6: /64) per bucket, waiting nodes included.
    pub bucket_subnet_limit: usize,
    /// Addresses of one /24 (IPv6: /64) in the whole table, waiting nodes included.
    pub table_subnet_limit: usize,
    /// Checks of nodes that have to prove themselves are up to this far apart.
    pub check_fast: Duration,
    /// Checks of nodes that have are up to this far apart: a full table takes 20 minutes a round.
    pub check_slow: Duration,
    /// If there are so many nodes to prove themselves that they would wait longer than this on
    /// average, they are checked faster: others are told of a node only once it has been checked,
    /// which a new network waits for.
    pub fast_round: Duration,
    /// Queries left without an answer in a row that cost a node its place.
    pub max_query_failures: u32,
    /// But only out of a bucket with at least this many nodes: a bad network is not to empty the
    /// table.
    pub min_entries_to_drop: usize,
    /// Whether nodes can be reached by IPv4.
    pub has_ipv4: bool,
    /// Whether nodes can be reached by IPv6.
    pub has_ipv6: bool,
}

impl Default for TableConfig {
    fn default() -> Self {
        Self {
            bucket_size: 16,
            replacements: 10,
            bucket_subnet_limit: 2,
            table_subnet_limit: 10,
            check_fast: Duration::from_secs(3),
            check_slow: Duration::from_secs(9),
            fast_round: Duration::from_secs(30),
            max_query_failures: 5,
            min_entries_to_drop: 4,
            has_ipv4: true,
            has_ipv6: true,
        }
    }
}

impl TableConfig {
    /// How many nodes the buckets of a table have room for, those that wait not included.
    pub(crate) const fn max_entries(&self) -> usize {
        super::BUCKETS * self.bucket_size
    }

    /// The UDP endpoint of `node` to be used: the preferred one of a family that can be.
    pub fn endpoint(&self, node: &Node) -> Option<SocketAddr> {
        node.udp_endpoints()
            .into_iter()
            .find(|endpoint| if endpoint.is_ipv4() { self.has_ipv4 } else { self.has_ipv6 })
    }
}
