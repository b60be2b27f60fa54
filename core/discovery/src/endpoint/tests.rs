//! What an endpoint does for all versions: beginning, beginning again, names and our record.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use peerage_machine::Machine as _;
use peerage_node::{Node, SecretKey};

use super::*;
use crate::{
    Command, LookupResult, LookupTarget, QueryId, SeedNode, Version,
    testing::{
        net::{Net, START, about, lost},
        public, secret,
    },
    v4::packet::{Packet, Sealed},
};

const QUERY: QueryId = QueryId(7);

fn node(n: u32, addr: SocketAddr) -> Node {
    Node::from_endpoint(*secret(n).public(), addr, None)
}

fn endpoint(n: u32) -> Endpoint {
    Endpoint::new(Config::default(), about(secret(n), public(n)), 0, [1; 32])
}

fn outputs(endpoint: &mut Endpoint) -> Vec<Output> {
    std::iter::from_fn(|| endpoint.poll_output()).collect()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn nothing_is_served_before_the_seeds_are_there_and_every_command_is_answered() {
    let mut endpoint = endpoint(1);
    assert_eq!(outputs(&mut endpoint), [Output::WantSeeds]);
    assert_eq!((endpoint.is_running(), endpoint.poll_timeout()), (false, None));
    let node = node(2, public(2));
    let commands = [
        Command::AddNode(node.clone()),
        Command::Lookup { version: None, id: QUERY, target: LookupTarget::Random },
        Command::Ping { version: None, id: QUERY, node: node.clone() },
        Command::RequestRecord { version: None, id: QUERY, node: node.clone() },
        Command::Resolve { version: None, id: QUERY, node: node.clone() },
        Command::Table { id: QUERY },
    ];
    for command in commands {
        endpoint.handle_input(START, command.into());
    }
    let nothing = [
        Output::LookupDone { id: QUERY, result: LookupResult::default() },
        Output::PingFailed { id: QUERY },
        Output::Record { id: QUERY, record: None },
        Output::Resolved { id: QUERY, node: None },
        Output::Table { id: QUERY, entries: Vec::new() },
    ];
    assert_eq!(outputs(&mut endpoint), nothing);
    endpoint.handle_input(START, Input::Datagram { from: public(2), datagram: b"x"[..].into() });
    assert_eq!(*endpoint.stats(), Stats::default());
    endpoint.handle_input(
        START,
        Input::Seeds(vec![SeedNode { node: node.clone(), last_pong: START.unix }]),
    );
    assert!(endpoint.is_running());
    let begun = outputs(&mut endpoint);
    let added = |version| Output::NodeAdded { node: node.clone(), version };
    let expected = [Output::Store(StoreOp::Seq(1)), added(Version::V4), added(Version::V5)];
    assert_eq!(begun, expected);
    // Seeds that nobody asked for are no reason to begin anew.
    endpoint.handle_input(START, Input::Seeds(Vec::new()));
    assert_eq!(outputs(&mut endpoint), []);
    assert_eq!(endpoint.v4().unwrap().table().len(), 1);
}

#[test]
fn after_a_panic_everything_begins_again_a_second_later_but_our_record_and_what_is_wanted() {
    let mut net = Net::new();
    net.start(2, public(2), Vec::new());
    net.start_with(public(1), lost(secret(1)), Config::default());
    net.want(public(1), 1000);
    let attribute = |rlp: Option<Vec<u8>>| LocalChange::Attribute { key: "x".into(), rlp };
    net.input(public(1), Input::Local(attribute(Some(vec![5]))));
    net.input(public(1), Input::Local(attribute(Some(vec![6]))));
    net.input(public(1), Input::Local(LocalChange::Ip4(Some([11, 0, 1, 1].into()))));
    let before = net.record(public(1)).clone();
    net.command(public(1), Command::AddNode(node(2, public(2))));
    net.run(seconds(10));
    assert_eq!(net.v4(public(1)).table().live(), 1);
    net.events.clear();

    net.seeds.insert(public(1), Vec::new());
    net.input(public(1), Input::Panicked);
    assert!(!net.machine(public(1)).is_running());
    net.run(Duration::from_millis(999));
    assert!(!net.machine(public(1)).is_running());
    net.run(Duration::from_millis(1));
    assert!(net.machine(public(1)).is_running());
    // The machine knows nobody, but others know it, and it is somebody with a newer record.
    assert_eq!(net.v4(public(1)).table().len(), 0);
    let after = net.record(public(1)).clone();
    assert_eq!(
        (after.seq(), after.get("x"), after.ip4()),
        (before.seq() + 1, before.get("x"), before.ip4())
    );
    let told = net.events(public(1));
    assert!(told.contains(&Output::LocalRecord(after.clone())), "{told:?}");
    assert!(told.contains(&Output::Store(StoreOp::Seq(after.seq()))), "{told:?}");
    net.run(seconds(60));
    assert_eq!(net.v4(public(1)).table().live(), 1);
    assert!(net.events(public(1)).iter().any(|it| matches!(it, Output::Candidate { .. })));
}

#[test]
fn what_was_drawn_before_a_panic_says_nothing_of_what_is_drawn_after_it() {
    let mut endpoint = endpoint(1);
    let mut before = Random::from_seed(endpoint.seed);
    let before: Vec<Seed> = (0..1000).map(|_| before.fork()).collect();
    endpoint.handle_input(START, Input::Panicked);
    assert!(!before.contains(&endpoint.seed));
    let after = endpoint.seed;
    endpoint.handle_input(START, Input::Panicked);
    assert_ne!(endpoint.seed, after);
}

#[test]
fn an_endpoint_that_panics_again_while_it_rests_rests_longer() {
    let mut endpoint = endpoint(1);
    endpoint.handle_input(START, Input::Seeds(Vec::new()));
    outputs(&mut endpoint);
    endpoint.handle_input(START, Input::Panicked);
    let later = START.later(Duration::from_millis(600));
    endpoint.handle_input(later, Input::Panicked);
    assert_eq!(endpoint.poll_timeout(), Some(later.mono + seconds(1)));
    outputs(&mut endpoint);
    endpoint.handle_timeout(START.later(seconds(1)));
    assert_eq!(outputs(&mut endpoint), []);
    endpoint.handle_timeout(later.later(seconds(1)));
    assert_eq!(outputs(&mut endpoint), [Output::WantSeeds]);
}

#[test]
fn boot_nodes_by_name_are_resolved_at_once_and_every_minute_and_warned_of() {
    let url = |n: u32, rest: &str| -> Node {
        format!("enode://{}@{rest}", secret(n).public()).parse().unwrap()
    };
    let mut net = Net::new();
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    net.names.insert("good.example".into(), vec![ip("2a01::1"), public(2).ip()]);
    net.names.insert("bad.example".into(), Vec::new());
    let keyed = Node::new(*secret(5).public());
    let bootnodes = vec![
        url(2, "good.example:30303"),
        url(3, "bad.example:30303"),
        // Nobody answers what this name is.
        url(4, "slow.example:30303"),
        keyed.clone(),
    ];
    net.start(2, public(2), Vec::new());
    net.start(1, public(1), bootnodes.clone());
    let asked = |net: &mut Net| {
        let events = net.events(public(1)).into_iter();
        let (mut hosts, mut warnings) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Output::ResolveName { host, .. } => hosts.push(host),
                Output::Warning(warning) => warnings.push(warning),
                _ => {}
            }
        }
        (hosts, warnings)
    };
    let bad = Warning::BootNodeName(bootnodes[1].clone());
    let (hosts, warnings) = asked(&mut net);
    assert_eq!(hosts, ["good.example", "bad.example", "slow.example"]);
    assert_eq!(warnings, [Warning::BootNodeWithoutEndpoint(keyed), bad.clone()]);
    let known = net.v4(public(1)).table().get(&secret(2).public().id()).unwrap();
    assert_eq!(known.endpoint(), public(2));
    net.run(seconds(59));
    assert_eq!(asked(&mut net), (Vec::new(), Vec::new()));
    net.run(seconds(1));
    assert_eq!(asked(&mut net), (vec!["good.example".into(), "bad.example".into()], vec![bad]));
}

#[test]
fn a_boot_node_is_found_where_its_name_has_moved_to() {
    let name: Node = format!("enode://{}@boot.example:30303", secret(2).public()).parse().unwrap();
    let mut net = Net::new();
    net.start(1, public(1), vec![name]);
    net.run(seconds(120));
    let id = secret(2).public().id();
    assert!(net.v4(public(1)).table().get(&id).is_none());
    // The first question was never answered: so it is not asked again, and its answer still counts.
    net.start(2, public(2), Vec::new());
    let asked = net.events(public(1)).into_iter().find_map(|it| match it {
        Output::ResolveName { id, .. } => Some(id),
        _ => None,
    });
    let addresses = vec![public(2).ip()];
    net.input(public(1), Input::NameResolved { id: asked.unwrap(), addresses });
    net.run(seconds(10));
    assert!(net.v4(public(1)).table().get(&id).unwrap().is_live());
}

#[test]
fn one_candidate_is_offered_for_each_wish_however_many_are_wanted() {
    let mut net = Net::new();
    for n in 1..6 {
        net.start(n, public(n), vec![node(1, public(1))]);
    }
    net.run(seconds(30));
    net.events.clear();
    // Nobody wishes again.
    net.input(public(3), Input::Want { source: Source::DISCOVERY_V4, count: 100 });
    net.run(seconds(30));
    let candidates = |net: &mut Net| {
        let events = net.events(public(3)).into_iter();
        events.filter(|it| matches!(it, Output::Candidate { .. })).count()
    };
    assert_eq!(candidates(&mut net), 1);
    net.input(public(3), Input::Want { source: Source::DISCOVERY_V4, count: 99 });
    net.run(seconds(30));
    assert_eq!(candidates(&mut net), 1);
    // Somebody else's are not ours to find.
    net.input(public(3), Input::Want { source: Source::USER, count: 9 });
    net.run(seconds(30));
    assert_eq!(candidates(&mut net), 0);
    // What is wanted of one version is no wish for the other, which has offered its own.
    net.input(public(3), Input::Want { source: Source::DISCOVERY_V5, count: 9 });
    net.run(seconds(30));
    let of_v4 = |it: &Output| matches!(it, Output::Candidate { source: Source::DISCOVERY_V4, .. });
    assert!(!net.events(public(3)).iter().any(of_v4));
}

#[test]
fn a_datagram_is_given_to_the_version_that_it_is_of_however_it_was_checked() {
    let mut endpoint = endpoint(1);
    endpoint.handle_input(START, Input::Seeds(Vec::new()));
    outputs(&mut endpoint);
    let version = Some(Version::V4);
    let ping = Command::Ping { version, id: QUERY, node: node(1, public(1)) };
    let (from, key): (SocketAddr, SecretKey) = (public(2), secret(2));
    let mut asking = Endpoint::new(Config::default(), about(key, from), 0, [2; 32]);
    asking.handle_input(START, Input::Seeds(Vec::new()));
    asking.handle_input(START, ping.into());
    let sent = outputs(&mut asking).into_iter().find_map(|it| match it {
        Output::Send { bytes, .. } => Some(bytes),
        _ => None,
    });
    let bytes = sent.unwrap();
    for datagram in [bytes.as_slice().into(), Sealed::check(&bytes).unwrap().into()] {
        endpoint.handle_input(START, Input::Datagram { from, datagram });
        let answered = outputs(&mut endpoint).into_iter().any(|it| match it {
            Output::Send { bytes, .. } => {
                matches!(Packet::decode(&bytes), Ok((Packet::Pong(_), ..)))
            }
            _ => false,
        });
        assert!(answered);
    }
    endpoint.handle_input(START, Input::Datagram { from, datagram: bytes[1..].into() });
    let here = "0.0.0.0:30303".parse().unwrap();
    endpoint.handle_input(START, Input::Datagram { from: here, datagram: bytes[..].into() });
    assert_eq!(*endpoint.stats(), Stats { received: 4, foreign: 1, not_allowed: 1 });
    assert_eq!(endpoint.v4().unwrap().stats().received, 2);
}

#[test]
fn without_a_version_nothing_is_understood_and_nothing_sent() {
    let config = Config { v4: None, ..Config::default() };
    let mut net = Net::new();
    net.start_with(public(1), about(secret(1), public(1)), config);
    net.start(2, public(2), vec![node(1, public(1))]);
    net.run(seconds(60));
    let stats = net.machine(public(1)).stats();
    assert!(stats.foreign > 0 && stats.foreign == stats.received);
    assert!(net.machine(public(1)).v4().is_none());
    net.command(public(1), Command::Ping { version: None, id: QUERY, node: node(2, public(2)) });
    assert!(net.events(public(1)).contains(&Output::PingFailed { id: QUERY }));
}
