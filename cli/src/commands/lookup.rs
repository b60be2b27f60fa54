//! `peerage lookup`: a walk through the network, towards a node or to anywhere.

mod show;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::MultiProgress;
use peerage::{
    DiscoveryError, LookupResult, LookupTarget, Node, NodeId, SecretKey, Server, Version,
};
use tokio::{runtime::Runtime, task::JoinSet, time::timeout};

use self::show::Show;
use crate::{args::LookupFor, failure::Failure, key_file, log::LogArgs, probe};

/// Keys tried to find one close to an id: they share 12 bits with it on average, so that in a
/// network of up to 60,000 nodes the id is among the 16 that are closest to that key. A fraction of
/// a second.
const KEYS_TRIED: u64 = 4096;

/// Walks the network from node to node, by discovery v4 or v5, and shows who is closest to a
/// target.
///
/// The exit code is 0 if anybody answered.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  peerage lookup --bootnodes enode://…@203.0.113.7:30303
  peerage lookup enode://… --bootnodes enr:-IS4Q…,enr:-KG4Q…
  peerage lookup 3b2a…e1 --v5 --bootnodes enode://…@203.0.113.7:30303 --json

Events of --json, one per line: bootnode (id, ok, round_trip_ms), step (id, endpoint, found), and the
last, result (target, found, closest of id, distance, enode, enr; queries, packets, ms)")]
pub(crate) struct Lookup {
    /// What to look for: enode URL, node record, key or id of a node, or random.
    #[arg(default_value = "random")]
    target: LookupFor,
    /// Whom to ask first: enode URL or node record (repeatable, or several with commas).
    #[arg(long, value_name = "NODE", value_delimiter = ',', required = true)]
    bootnodes: Vec<Node>,
    /// Walk by discovery v5, instead of v4.
    #[arg(long)]
    v5: bool,
    /// The key to show, instead of one made for this once.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Print one JSON object per event and line; the last is `result`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    log: LogArgs,
}

/// Why a lookup found nothing.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LookupError {
    /// Nobody to begin with answers.
    #[error(
        "{}; see that it runs, and that UDP gets through",
        if *.asked == 1 { "the boot node does not answer".into() } else { format!("none of the {asked} boot nodes answers") }
    )]
    NoBootnode {
        /// How many boot nodes there are.
        asked: usize,
    },
    /// Discovery itself failed.
    #[error("cannot look up: {0}")]
    Discovery(#[from] DiscoveryError),
    /// Time was up.
    #[error("the lookup was not done after {seconds} s; try a longer --timeout")]
    Timeout {
        /// The time there was.
        seconds: u64,
    },
}

impl Lookup {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let progress = MultiProgress::new();
        self.log.log.install(&progress);
        let key = key_file::load_or_random(self.key_file.as_deref())?;
        let target = match &self.target {
            LookupFor::Node(node) => LookupTarget::Key(*node.public_key()),
            LookupFor::Id(id) if self.v5 => LookupTarget::Id(*id),
            LookupFor::Id(id) => LookupTarget::Key(*key_near(id)?.public()),
            LookupFor::Random => LookupTarget::Random,
        };
        let show = Show::new(self.json, progress);
        Runtime::new().map_err(Failure::Runtime)?.block_on(self.walk(key, target, show))
    }

    /// Walks, within the time there is, and always stops the server.
    async fn walk(
        self,
        key: SecretKey,
        target: LookupTarget,
        mut show: Show,
    ) -> Result<(), Failure> {
        let server = probe::start(key, self.version(), &self.bootnodes, &self.bootnodes).await?;
        let time = Duration::from_secs(self.timeout);
        let walked = timeout(time, self.look(&server, target, &mut show)).await;
        server.stop().await;
        show.clear();
        let (mut result, took) =
            walked.map_err(|_| LookupError::Timeout { seconds: self.timeout })??;
        if let Some(id) = self.sought() {
            // The walk was towards a key near it.
            result.closest.sort_by(|a, b| id.cmp_distance(&a.id(), &b.id()));
        }
        show.result(self.sought().as_ref(), &result, took)?;
        Ok(())
    }

    async fn look(
        &self,
        server: &Server,
        target: LookupTarget,
        show: &mut Show,
    ) -> Result<(LookupResult, Duration), Failure> {
        // Asked first, so that a mistake in a boot node shows as one.
        if !ping_all(server, self.version(), &self.bootnodes, show).await? {
            return Err(LookupError::NoBootnode { asked: self.bootnodes.len() }.into());
        }
        let began = Instant::now();
        let mut lookup = server.lookup(target).map_err(LookupError::Discovery)?;
        while let Some(step) = lookup.step().await {
            show.step(&step)?;
        }
        let result = lookup.finish().await.map_err(LookupError::Discovery)?;
        Ok((result, began.elapsed()))
    }

    const fn version(&self) -> Version {
        if self.v5 { Version::V5 } else { Version::V4 }
    }

    /// The id that is looked for, if it is one.
    fn sought(&self) -> Option<NodeId> {
        match &self.target {
            LookupFor::Node(node) => Some(node.id()),
            LookupFor::Id(id) => Some(*id),
            LookupFor::Random => None,
        }
    }
}

/// Pings all nodes at once, and tells discovery of those that answer. Whether any does.
async fn ping_all(
    server: &Server,
    version: Version,
    nodes: &[Node],
    show: &mut Show,
) -> Result<bool, Failure> {
    let mut pings: JoinSet<_> = nodes
        .iter()
        .cloned()
        .map(|node| {
            let server = server.clone();
            async move { (server.ping_by(version, node.clone()).await, node) }
        })
        .collect();
    let mut any = false;
    while let Some(Ok((pong, node))) = pings.join_next().await {
        show.bootnode(&node, pong.as_ref().map_err(|error| *error))?;
        if let Ok(pong) = pong {
            any = true;
            server.add_node(node.with_udp_endpoint(pong.from));
        }
    }
    Ok(any)
}

/// A key whose id is close to `id`: discovery v4 looks for keys, and an id does not tell its key.
fn key_near(id: &NodeId) -> Result<SecretKey, Failure> {
    let mut nearest = key_file::random_key()?;
    for _ in 1..KEYS_TRIED {
        let key = key_file::random_key()?;
        if id.cmp_distance(&key.public().id(), &nearest.public().id()).is_lt() {
            nearest = key;
        }
    }
    Ok(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_looked_for_by_a_key_that_is_near_it() {
        let id = NodeId([0x5a; 32]);
        let near = key_near(&id).unwrap();
        // Fails once in 2^64 runs: 4096 keys, of which none shares 6 bits.
        assert!(id.log_distance(&near.public().id()) <= 250);
    }
}
