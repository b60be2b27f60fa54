//! Foreign nodes of discovery v5 among themselves. Where one of these fails, it is not Peerage that
//! is wrong.

use std::iter::once;

use peerage_interop::{ECHO, Foreign, Implementation, Netns};

const ANY_PORT: [&str; 2] = ["--listen", "0"];

#[test]
fn chainsafe_pings_asks_and_talks_to_sigp() {
    let both = [Implementation::Chainsafe, Implementation::Sigp];
    let Some(net) = Netns::for_test(&both) else { return };
    let [mut asking, mut asked] = both.map(|one| Foreign::spawn(&net, one, &ANY_PORT));
    let (asking_names, names) = (asking.listening(), asked.listening());
    let pong = asking.v5_ping(&names.enr);
    assert_eq!(pong["endpoint"], asking_names.discovery.to_string());
    assert_eq!(asking.v5_find_node(&names.enr, &[0])[&names.id], names.enr);
    assert_eq!(asking.v5_talk(&names.enr, ECHO, "c0ffee"), "c0ffee");
    assert_eq!(asking.v5_talk(&names.enr, "other", "c0ffee"), "");
    assert_eq!(asking.v5_lookup(&names.id)[&names.id], names.enr);
    assert_eq!(asking.v5_table()[&names.id], names.enr);
    // Not the other way round: chainsafe drops the leading zeros of a request id, so sigp, which
    // draws eight bytes, misses one answer in 256.
    assert_eq!(asked.v5_node_added(&asking_names.id), asking_names.enr);
    assert!(!asked.has_said("v5_banned"));
}

#[test]
fn ethrex_tells_of_nodes_once_its_ping_was_answered() {
    let both = [Implementation::Ethrex, Implementation::Sigp];
    let Some(net) = Netns::for_test(&both) else { return };
    let mut asked =
        Foreign::spawn(&net, Implementation::Ethrex, &["--listen", "30303", "--discovery-v5"]);
    let mut asking = Foreign::spawn(&net, Implementation::Sigp, &ANY_PORT);
    let (asked_names, asking_names) = (asked.listening(), asking.listening());
    let pong = asking.v5_ping(&asked_names.enr);
    assert_eq!(pong["endpoint"], asking_names.discovery.to_string());
    assert_eq!(asked.v5_node_added(&asking_names.id), asking_names.enr);
    // Within a second; whoever asks before is not answered.
    asked.v5_received("pong", asking_names.discovery);
    let nodes = asking.v5_find_node(&asked_names.enr, &[0]);
    assert_eq!(nodes[&asked_names.id], asked_names.enr);
    // It asks too, all the time.
    asked.v5_received("nodes", asking_names.discovery);
    assert!(!asking.has_said("v5_banned"));
}

#[test]
fn six_nodes_of_three_implementations_find_each_other_through_one() {
    let all = [Implementation::Sigp, Implementation::Chainsafe, Implementation::Ethrex];
    let Some(net) = Netns::for_test(&all) else { return };
    let mut boot = Foreign::spawn(&net, Implementation::Sigp, &ANY_PORT);
    let boot_enr = boot.listening().enr;
    let start = |implementation, number, address| {
        let mut arguments = vec!["--listen", "30303", "--address", address];
        arguments.extend(["--bootnodes", &boot_enr]);
        if implementation == Implementation::Ethrex {
            arguments.push("--discovery-v5");
        }
        let mut node = Foreign::spawn_one_of(&net, implementation, number, &arguments);
        let names = node.listening();
        (node, names)
    };
    let mut sigp = start(Implementation::Sigp, 2, "127.0.0.11");
    let mut chainsafe = [(1, "127.0.0.21"), (2, "127.0.0.22")]
        .map(|(n, ip)| start(Implementation::Chainsafe, n, ip));
    let mut ethrex =
        [(1, "127.0.0.31"), (2, "127.0.0.32")].map(|(n, ip)| start(Implementation::Ethrex, n, ip));
    let all = [&sigp, &chainsafe[0], &chainsafe[1], &ethrex[0], &ethrex[1]];
    let ids = all.map(|(_, names)| names.id.clone());

    // Ethrex joins by itself; the others do what they are told.
    for (node, names) in once(&mut sigp).chain(&mut chainsafe) {
        node.v5_lookup(&names.id);
    }
    for id in &ids {
        boot.v5_node_added(id);
    }
    // Sigp misses an answer of chainsafe here and there, and ethrex tells nobody of nodes before
    // its ping was answered. Chainsafe finds those that answer, and all know whom they have met.
    for (node, names) in &mut chainsafe {
        for id in ids[..3].iter().filter(|id| **id != names.id) {
            assert!(node.v5_lookup(id).contains_key(id), "{} does not find {id}", names.id);
        }
    }
    sigp.0.v5_lookup(&sigp.1.id);
    for (node, names) in once(&mut sigp).chain(&mut chainsafe).chain(&mut ethrex) {
        for id in ids.iter().filter(|id| **id != names.id) {
            node.v5_node_added(id);
        }
    }
}
