//! What a node keeps over restarts: the simulator's node database.

use std::{collections::BTreeMap, time::Duration};

use peerage_discovery::{SeedNode, StoreOp};
use peerage_machine::Random;
use peerage_node::{Node, NodeId};

/// How many nodes discovery begins with, at most; as in the server.
pub(super) const SEEDS: usize = 30;

/// How long ago a seed may have answered; as in the server.
const SEED_AGE: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// How many nodes are kept.
const MAX_NODES: usize = 512;

/// Nodes that were met, and the sequence number of our record.
#[derive(Debug, Default)]
pub(crate) struct NodeDb {
    nodes: BTreeMap<NodeId, Row>,
    pub(crate) seq: u64,
}

#[derive(Debug, Default)]
struct Row {
    node: Option<Node>,
    pong: Option<Duration>,
}

impl NodeDb {
    pub(crate) fn apply(&mut self, op: StoreOp) {
        match op {
            StoreOp::Record(node) => {
                let id = node.id();
                self.row(id).node = Some(node);
            }
            StoreOp::Pong { id, unix, .. } => self.row(id).pong = Some(unix),
            StoreOp::Forget(id) => {
                self.nodes.remove(&id);
            }
            StoreOp::Seq(seq) => self.seq = seq,
            StoreOp::Failures { .. } | StoreOp::Ping { .. } => {}
        }
    }

    /// Nodes to begin with: any that answered lately.
    pub(crate) fn seeds(&self, unix: Duration, random: &mut Random) -> Vec<SeedNode> {
        let is_fresh = |pong: Duration| unix.saturating_sub(pong) < SEED_AGE;
        let mut seeds: Vec<SeedNode> = self
            .nodes
            .values()
            .filter_map(|row| {
                let last_pong = row.pong.filter(|pong| is_fresh(*pong))?;
                Some(SeedNode { node: row.node.clone()?, last_pong })
            })
            .collect();
        while seeds.len() > SEEDS {
            let out = random.below(seeds.len() as u64);
            seeds.swap_remove(usize::try_from(out).unwrap_or(0));
        }
        seeds
    }

    fn row(&mut self, id: NodeId) -> &mut Row {
        if self.nodes.len() >= MAX_NODES && !self.nodes.contains_key(&id) {
            let oldest = self.nodes.iter().min_by_key(|(id, row)| (row.pong, **id));
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.nodes.remove(&oldest);
            }
        }
        self.nodes.entry(id).or_default()
    }
}
