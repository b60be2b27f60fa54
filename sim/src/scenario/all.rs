//! The scenarios.

use std::time::Duration;

use peerage_peering::Limits;

use super::{Act, Group, Knows, Measure, Scenario, Size, What};
use crate::{
    Chat, Crash, Faults, LinkProfile, NatKind, NodeSpec, Place, Resolver, adversary::AdversaryKind,
};

const PUBLIC: &[Place] = &[Place::Public];

/// One node in ten can be reached; the others are behind what people have at home.
const MOSTLY_BEHIND: &[Place] = &[
    Place::Public,
    Place::Behind(NatKind::FullCone),
    Place::Behind(NatKind::RestrictedCone),
    Place::Behind(NatKind::PortRestricted),
    Place::Behind(NatKind::Symmetric),
    Place::Behind(NatKind::Firewall),
    Place::Behind(NatKind::PortRestricted),
    Place::Behind(NatKind::PortRestricted),
    Place::Behind(NatKind::Symmetric),
    Place::Behind(NatKind::FullCone),
];

const FEW_DESCRIPTORS: Faults = Faults { descriptors: Some(6), ..Faults::NONE };
const NO_BUFFERS: Faults = Faults { no_buffers: 500_000, ..Faults::NONE };
const NO_WAY_OUT: Faults = Faults { is_unreachable: true, ..Faults::NONE };

const AT_HOME: &[Measure] = &[Measure::Known, Measure::Peers, Measure::PeersOf("servers")];

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

fn good() -> LinkProfile {
    LinkProfile::default()
}

/// Boot nodes do nothing but discovery.
fn boot(spec: &mut NodeSpec) {
    *spec = NodeSpec::discovery_only(spec.key.clone());
}

/// Ordinary nodes with the settings of the server, and a word for each peer every half a minute.
fn ordinary(spec: &mut NodeSpec) {
    spec.protocols = vec![Chat::every(Duration::from_secs(30), 200).into()];
}

fn behind(spec: &mut NodeSpec) {
    ordinary(spec);
    spec.knows_address = false;
}

fn small(spec: &mut NodeSpec) {
    spec.limits = Limits::default().with_max_peers(20);
}

/// A server that is soon full.
fn full(spec: &mut NodeSpec) {
    spec.limits = Limits::default().with_max_peers(6);
}

fn alone(spec: &mut NodeSpec) {
    spec.discovery = None;
}

const BOOT: Group = Group {
    name: "boot",
    size: Size::Exactly(3),
    places: PUBLIC,
    starts: Some((0, 1)),
    knows: Knows::Boot("boot"),
    tune: boot,
};

const NODES: Group = Group {
    name: "nodes",
    size: Size::Rest,
    places: PUBLIC,
    starts: Some((5, 100)),
    knows: Knows::Boot("boot"),
    tune: ordinary,
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "bootstrap",
        about: "A new network: nodes that know nothing but three boot nodes start within the first tenth of the \
                time, and find each other.",
        nodes: 1_000,
        span: minutes(10),
        stand_in: false,
        link: good,
        groups: &[BOOT, NODES],
        acts: &[
            Act { at: 100, what: What::Measure("all have started", &[Measure::Peers]) },
            Act { at: 300, what: What::Measure("after two more tenths", &[Measure::Peers]) },
        ],
        rows: &[
            Measure::Known,
            Measure::Peers,
            Measure::Components,
            Measure::DialsFailed,
            Measure::Chatter,
        ],
    },
    Scenario {
        name: "churn",
        about: "Half of the network is replaced by newcomers in an hour: some stop, some are killed, some lose \
                their power.",
        nodes: 200,
        span: minutes(80),
        stand_in: false,
        link: good,
        groups: &[BOOT, Group { tune: small, ..NODES }],
        acts: &[
            Act { at: 125, what: What::Measure("before", &[Measure::Known, Measure::Peers]) },
            Act { at: 125, what: What::Churn { group: "nodes", until: 875, percent: 50 } },
            Act {
                at: 500,
                what: What::Measure("in the middle", &[Measure::Known, Measure::Peers]),
            },
        ],
        rows: &[Measure::Known, Measure::Peers, Measure::Components, Measure::DialsFailed],
    },
    Scenario {
        name: "partition",
        about: "The network falls into two halves for a third of the time, and heals.",
        nodes: 200,
        span: minutes(30),
        stand_in: false,
        link: good,
        groups: &[BOOT, Group { tune: small, ..NODES }],
        acts: &[
            Act { at: 330, what: What::Measure("whole", &[Measure::Peers, Measure::Components]) },
            Act { at: 330, what: What::Split },
            Act { at: 660, what: What::Measure("split", &[Measure::Peers, Measure::Components]) },
            Act { at: 660, what: What::Heal },
        ],
        rows: &[Measure::Known, Measure::Peers, Measure::Components],
    },
    Scenario {
        name: "eclipse",
        about: "One party with ever more ids in few subnets tries to be all that a victim knows and is connected \
                to; the victim is restarted before each wave.",
        nodes: 150,
        span: minutes(50),
        stand_in: false,
        link: good,
        groups: &[
            BOOT,
            Group { name: "victim", size: Size::Exactly(1), tune: small, ..NODES },
            Group { tune: small, ..NODES },
        ],
        acts: &[
            Act { at: 200, what: What::Measure("no adversary", &[Measure::Victim("victim")]) },
            Act {
                at: 200,
                what: What::Adversaries {
                    kind: AdversaryKind::Eclipse,
                    percent: 10,
                    after: "victim",
                },
            },
            Act { at: 200, what: What::Crash("victim", Crash::Process) },
            Act { at: 202, what: What::Start("victim") },
            Act { at: 400, what: What::Measure("a tenth as many", &[Measure::Victim("victim")]) },
            Act {
                at: 400,
                what: What::Adversaries {
                    kind: AdversaryKind::Eclipse,
                    percent: 40,
                    after: "victim",
                },
            },
            Act { at: 400, what: What::Crash("victim", Crash::Process) },
            Act { at: 402, what: What::Start("victim") },
            Act { at: 600, what: What::Measure("half as many", &[Measure::Victim("victim")]) },
            Act {
                at: 600,
                what: What::Adversaries {
                    kind: AdversaryKind::Eclipse,
                    percent: 150,
                    after: "victim",
                },
            },
            Act { at: 600, what: What::Crash("victim", Crash::Process) },
            Act { at: 602, what: What::Start("victim") },
            Act { at: 800, what: What::Measure("twice as many", &[Measure::Victim("victim")]) },
            Act {
                at: 800,
                what: What::Adversaries {
                    kind: AdversaryKind::Eclipse,
                    percent: 300,
                    after: "victim",
                },
            },
            Act { at: 800, what: What::Crash("victim", Crash::Process) },
            Act { at: 802, what: What::Start("victim") },
        ],
        rows: &[Measure::Victim("victim"), Measure::Adversary, Measure::Peers],
    },
    Scenario {
        name: "boot-node-dies",
        about: "The only boot node loses its power: those who know each other go on, newcomers who know nobody \
                else wait until it is back.",
        nodes: 100,
        span: minutes(40),
        stand_in: false,
        link: good,
        groups: &[
            Group { size: Size::Exactly(1), ..BOOT },
            Group {
                name: "newcomers",
                size: Size::Share(200),
                starts: Some((300, 400)),
                tune: small,
                ..NODES
            },
            Group { tune: small, ..NODES },
        ],
        acts: &[
            Act { at: 250, what: What::Measure("before", &[Measure::PeersOf("nodes")]) },
            Act { at: 250, what: What::Crash("boot", Crash::Power) },
            Act {
                at: 600,
                what: What::Measure(
                    "while it is dead",
                    &[Measure::PeersOf("nodes"), Measure::PeersOf("newcomers")],
                ),
            },
            Act { at: 600, what: What::Start("boot") },
        ],
        rows: &[Measure::PeersOf("nodes"), Measure::PeersOf("newcomers"), Measure::Components],
    },
    Scenario {
        name: "nat",
        about: "All nodes but one in ten are behind translators and firewalls that nobody opened.",
        nodes: 200,
        span: minutes(30),
        stand_in: false,
        link: good,
        groups: &[BOOT, Group { places: MOSTLY_BEHIND, tune: behind, ..NODES }],
        acts: &[Act {
            at: 500,
            what: What::Measure("half-way", &[Measure::Known, Measure::Peers]),
        }],
        rows: &[Measure::Known, Measure::Peers, Measure::Components, Measure::DialsFailed],
    },
    Scenario {
        name: "reserved",
        about: "Servers that are full of ordinary peers: their static nodes and those that they trust come late, \
                and find a place all the same.",
        nodes: 100,
        span: minutes(30),
        stand_in: false,
        link: good,
        groups: &[
            BOOT,
            Group { name: "static", size: Size::Exactly(3), starts: Some((500, 520)), ..NODES },
            Group {
                name: "trusted",
                size: Size::Exactly(3),
                starts: None,
                knows: Knows::Static { group: "trusting", boot: "boot" },
                ..NODES
            },
            Group {
                name: "servers",
                size: Size::Exactly(4),
                knows: Knows::Static { group: "static", boot: "boot" },
                tune: full,
                ..NODES
            },
            Group {
                name: "trusting",
                size: Size::Exactly(4),
                knows: Knows::Trusted { group: "trusted", boot: "boot" },
                tune: full,
                ..NODES
            },
            Group { tune: ordinary, ..NODES },
        ],
        acts: &[
            Act {
                at: 500,
                what: What::Measure(
                    "before",
                    &[Measure::Slots("servers"), Measure::Slots("trusting")],
                ),
            },
            Act { at: 500, what: What::Start("trusted") },
        ],
        rows: &[Measure::Slots("servers"), Measure::Slots("trusting")],
    },
    Scenario {
        name: "crossed-dials",
        about: "Pairs of nodes that dial each other at the same moment: each pair has one connection in the end, \
                and both ends have the same one.",
        nodes: 20_000,
        span: minutes(2),
        stand_in: true,
        link: good,
        groups: &[Group {
            name: "pairs",
            size: Size::Rest,
            places: PUBLIC,
            starts: Some((0, 1)),
            knows: Knows::Partner,
            tune: alone,
        }],
        acts: &[Act { at: 100, what: What::Measure("after 12 s", &[Measure::Partners]) }],
        rows: &[Measure::Partners, Measure::Connections, Measure::DialsFailed],
    },
    Scenario {
        name: "clock-jumps",
        about: "The wall clocks of one node in three jump an hour back, then a day ahead, and right again; all are \
                heard and stay connected, but for discovery while the clocks differ.",
        nodes: 100,
        span: minutes(40),
        stand_in: false,
        link: good,
        groups: &[BOOT, Group { tune: small, ..NODES }],
        acts: &[
            Act { at: 250, what: What::Measure("before", &[Measure::Known, Measure::Peers]) },
            Act { at: 250, what: What::JumpClocks { group: "nodes", one_in: 3, seconds: -3_600 } },
            Act { at: 500, what: What::Measure("an hour back", &[Measure::Known, Measure::Peers]) },
            Act { at: 500, what: What::JumpClocks { group: "nodes", one_in: 3, seconds: 90_000 } },
            Act { at: 750, what: What::Measure("a day ahead", &[Measure::Known, Measure::Peers]) },
            Act { at: 750, what: What::JumpClocks { group: "nodes", one_in: 3, seconds: -86_400 } },
        ],
        rows: &[Measure::Known, Measure::Peers, Measure::Components],
    },
    Scenario {
        name: "local-faults",
        about: "What goes wrong at home: nodes have few descriptors and no name server, then their systems take \
                half of their datagrams, then there is no way out; each time they come back.",
        nodes: 100,
        span: minutes(30),
        stand_in: false,
        link: good,
        groups: &[
            BOOT,
            Group { name: "servers", size: Size::Exactly(4), ..NODES },
            Group { tune: small, knows: Knows::Named { group: "servers", boot: "boot" }, ..NODES },
        ],
        acts: &[
            Act { at: 0, what: What::Resolve(Resolver::DEAD) },
            Act { at: 0, what: What::Faults("nodes", FEW_DESCRIPTORS) },
            Act { at: 250, what: What::Measure("few descriptors", AT_HOME) },
            Act { at: 250, what: What::Resolve(Resolver::GOOD) },
            Act { at: 250, what: What::Faults("nodes", Faults::NONE) },
            Act { at: 450, what: What::Measure("enough", AT_HOME) },
            Act { at: 450, what: What::Faults("nodes", NO_BUFFERS) },
            Act { at: 650, what: What::Measure("half of all datagrams", AT_HOME) },
            Act { at: 650, what: What::Faults("nodes", NO_WAY_OUT) },
            Act { at: 800, what: What::Measure("no way out", AT_HOME) },
            Act { at: 800, what: What::Faults("nodes", Faults::NONE) },
        ],
        rows: &[
            Measure::Known,
            Measure::Peers,
            Measure::PeersOf("servers"),
            Measure::DialsFailed,
            Measure::Local,
        ],
    },
    Scenario {
        name: "discovery",
        about: "Nodes that do nothing but discovery, from three boot nodes: a network as large as your memory.",
        nodes: 10_000,
        span: minutes(60),
        stand_in: true,
        link: good,
        groups: &[BOOT, Group { tune: boot, ..NODES }],
        acts: &[Act { at: 250, what: What::Measure("after a quarter", &[Measure::Known]) }],
        rows: &[Measure::Known, Measure::Chatter],
    },
];
