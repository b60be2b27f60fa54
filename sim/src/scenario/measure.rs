//! What can be measured of a run, and how it is written.

use peerage_peering::Slot;

use super::Run;
use crate::metrics::{self, Sample};

/// Something that is measured.
#[derive(Clone, Copy, Debug)]
pub enum Measure {
    /// The share of all tables and of all peers that the adversary holds.
    Adversary,
    /// Datagrams that a node has sent per minute, on average.
    Chatter,
    /// Groups of nodes between which there is no way from peer to peer.
    Components,
    /// Connections begun and peers added, per node.
    Connections,
    /// Dials that came to nothing, in all.
    DialsFailed,
    /// Nodes known per node.
    Known,
    /// Datagrams and streams that the nodes' own systems refused, in all.
    Local,
    /// What a function of a researcher's own says, under this label.
    Own(&'static str, fn(&Run) -> String),
    /// Pairs that are connected, and of how many pairs of partners.
    Partners,
    /// Peers per node.
    Peers,
    /// Peers of the nodes of a group by the slots they hold.
    Slots(&'static str),
    /// The share of the first node of a group's table and of its peers that the adversary holds.
    Victim(&'static str),
    /// Peers per node, of the nodes of one group.
    PeersOf(&'static str),
}

/// A line of a result.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    /// What was measured.
    pub label: String,
    /// How much it was.
    pub value: String,
}

impl Measure {
    /// Measures a run now, and says when that was in `name`.
    pub(super) fn rows(self, run: &Run, name: &str) -> Vec<Row> {
        let world = run.world();
        let sample = Sample::of(world, run.adversary());
        let row = |label: &str, value: String| {
            let label = if name.is_empty() { label.into() } else { format!("{name}: {label}") };
            Row { label, value }
        };
        let ppm = |share: u64| format!("{}.{:02} %", share / 10_000, share / 100 % 100);
        match self {
            Self::Adversary => vec![
                row("held by the adversary, of all tables", ppm(sample.adversary_tables)),
                row("held by the adversary, of all peers", ppm(sample.adversary_peers)),
            ],
            Self::Chatter => {
                let minutes = sample.seconds.max(60) / 60;
                let per = sample.datagrams / minutes / sample.nodes.max(1);
                vec![row("datagrams per node and minute", per.to_string())]
            }
            Self::Components => {
                vec![row("separate networks", metrics::components(world).to_string())]
            }
            Self::Connections => {
                let seen = world.hosts().filter_map(|host| world.node(host)).map(|it| *it.seen());
                let begun = seen.map(|it| it.connections).sum::<u64>();
                vec![
                    row("connections begun", begun.to_string()),
                    row("peers added", sample.added.to_string()),
                ]
            }
            Self::DialsFailed => vec![row("dials failed", sample.dials_failed.to_string())],
            Self::Known => vec![row(
                "nodes known, mean and fewest",
                format!("{} / {}", hundredths(sample.known_mean), sample.known_min),
            )],
            Self::Local => {
                let stats = world.net_stats();
                vec![
                    row("datagrams refused locally", stats.datagrams_refused.to_string()),
                    row("streams refused locally", stats.streams_refused.to_string()),
                ]
            }
            Self::Own(label, of) => vec![row(label, of(run))],
            Self::Partners => {
                let (met, pairs) = run.partners();
                vec![row("pairs connected", format!("{met} of {pairs}"))]
            }
            Self::Peers => vec![
                row("nodes up", sample.nodes.to_string()),
                row(
                    "peers, mean, fewest and most",
                    format!(
                        "{} / {} / {}",
                        hundredths(sample.peers_mean),
                        sample.peers_min,
                        sample.peers_max
                    ),
                ),
                row("nodes without peers", sample.lonely.to_string()),
            ],
            Self::PeersOf(group) => {
                let counts: Vec<u64> = run
                    .group(group)
                    .filter_map(|host| world.node(host))
                    .map(|node| node.peer_count() as u64)
                    .collect();
                let mean = counts.iter().sum::<u64>() * 100 / (counts.len() as u64).max(1);
                let fewest = counts.iter().min().copied().unwrap_or(0);
                let value = format!("{} / {fewest}", hundredths(mean));
                vec![row(&format!("peers of {group}, mean and fewest"), value)]
            }
            Self::Slots(group) => [Slot::Dialed, Slot::Inbound, Slot::Static, Slot::Trusted]
                .into_iter()
                .map(|slot| {
                    let count: usize =
                        run.group(group).map(|host| metrics::in_slot(world, host, slot)).sum();
                    row(&format!("{slot:?} slots taken at {group}"), count.to_string())
                })
                .collect(),
            Self::Victim(group) => {
                let victim = run.group(group).next();
                let (table, peers) =
                    victim.map_or((0, 0), |host| metrics::held(world, host, run.adversary()));
                let node = victim.and_then(|host| world.node(host));
                let count = node.map_or(0, crate::Node::peer_count);
                vec![
                    row("held of the victim's table", ppm(table)),
                    row("held of the victim's peers", format!("{} of {count}", ppm(peers))),
                ]
            }
        }
    }
}

fn hundredths(number: u64) -> String {
    format!("{}.{:02}", number / 100, number % 100)
}
