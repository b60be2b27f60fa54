//! Ten nodes of four implementations that know one boot node of ours, each at an address of its
//! own.

use peerage_interop::{Foreign, Implementation, Listening, Netns, Peerage, until};

/// The keys of ours by the last two digits of them all. The ids of all ten differ from that of the
/// boot node, the first of them, in one of the first three bits: a lookup that asks it for three
/// buckets misses none for ever. The second is half a world away from all the others. Ethrex, which
/// does not ask for so far a bucket, meets it when it asks ethrex.
const KEYS: [&str; 4] = ["04", "01", "17", "18"];

const PORT: &str = "30303";

#[test]
fn ten_nodes_that_know_one_boot_node_of_ours_find_each_other() {
    ten_nodes_find_each_other(&[], &["--discovery", "--discovery-v5"]);
}

#[test]
fn ten_nodes_that_know_one_boot_node_of_ours_find_each_other_with_v4_off() {
    ten_nodes_find_each_other(&["--discovery", "v5"], &["--discovery-v5"]);
}

fn ten_nodes_find_each_other(ours_has: &[&str], ethrex_has: &[&str]) {
    let [sigp, chainsafe, ethrex] =
        [Implementation::Sigp, Implementation::Chainsafe, Implementation::Ethrex];
    let Some(net) = Netns::for_test(&[sigp, chainsafe, ethrex]) else { return };
    let mut ours = vec![start_ours(&net, 0, &["--bootnode"], ours_has)];
    let boot = ours[0].1.clone();
    for number in 1..KEYS.len() {
        let arguments = ["--echo", "demo/1/4", "--bootnodes", &boot.enr];
        ours.push(start_ours(&net, number, &arguments, ours_has));
    }
    let start = |implementation, number, address, has: &[&str]| {
        let own = ["--listen", PORT, "--address", address, "--bootnodes", &boot.enr];
        let arguments = [&own, has].concat();
        let mut node = Foreign::spawn_one_of(&net, implementation, number, &arguments);
        let names = node.listening();
        (node, names)
    };
    let mut quiet = [
        start(sigp, 1, "127.0.0.11", &[]),
        start(sigp, 2, "127.0.0.12", &[]),
        start(chainsafe, 1, "127.0.0.21", &[]),
        start(chainsafe, 2, "127.0.0.22", &[]),
    ];
    let mut restless =
        [start(ethrex, 1, "127.0.0.31", ethrex_has), start(ethrex, 2, "127.0.0.32", ethrex_has)];
    let all: Vec<Listening> = (ours.iter().map(|(_, names)| names))
        .chain(quiet.iter().chain(&restless).map(|(_, names)| names))
        .cloned()
        .collect();
    assert_eq!(all.len(), 10);

    // Ours and ethrex join by themselves; the others do what they are told.
    for (node, names) in &mut quiet {
        node.v5_lookup(&names.id);
    }
    for (node, us) in &mut ours {
        for other in all.iter().filter(|other| other.id != us.id) {
            let what = format!("{} knows {}", us.discovery, other.discovery);
            until(&what, || node.v5_table().get(&other.id) == Some(&other.enr));
        }
    }
    for other in &all[1..] {
        Peerage::v5_lookup_finds(&net, &boot, other);
    }
    for (node, names) in &mut quiet {
        for (_, us) in &ours {
            let found = node.v5_lookup(&us.id);
            assert_eq!(found.get(&us.id), Some(&us.enr), "{} does not find us", names.discovery);
        }
        assert!(!node.has_said("v5_banned"), "{} banned one of us", names.discovery);
    }
    for (node, _) in &mut restless {
        for (_, us) in &ours {
            assert_eq!(node.v5_node_added(&us.id), us.enr);
        }
    }
}

/// Node `number` of ours, with `arguments` and what all of ours have.
fn start_ours(
    net: &Netns,
    number: usize,
    arguments: &[&str],
    has: &[&str],
) -> (Peerage, Listening) {
    let key = format!("{}{}", "0b".repeat(31), KEYS[number]);
    let listen = format!("127.0.0.{}:{PORT}", number + 1);
    let node = Peerage::run_with_key_at(net, &key, &listen, &[arguments, has].concat());
    let names = Listening {
        id: node.id(),
        enr: node.enr(),
        enode: node.enode(),
        discovery: node.discovery(),
    };
    (node, names)
}
