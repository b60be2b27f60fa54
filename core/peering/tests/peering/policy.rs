//! Who may be talked to, and what becomes of connections and dials when that changes; in rounds of
//! (second, what happens, outputs).

use peerage_node::Policy;
use peerage_peering::Limits;

use crate::support::{Do::*, *};

/// Nine peers, three of them to dial: six candidates are wanted at first.
fn small() -> Limits {
    limits().with_max_peers(9)
}

#[test]
fn a_new_policy_ends_the_connections_that_it_forbids_and_no_others() {
    World::new(config(small())).play(&[
        (0, PeerIn("a", 11), "accepting; want 6; proceed a; greet a; peer 11 by a as Inbound"),
        // At the first checkpoint, before it, and nowhere.
        (0, AcceptOf("b", 12), "proceed b"),
        (0, Identify("b", 12), "greet b"),
        (0, Accept("c", "127.0.0.1"), "proceed c"),
        (0, Stream("d", None), ""),
        (
            1,
            Policy(Some("10.0.0.0/8")),
            "end a: disconnect requested; end c: disconnect requested; policy 10.0.0.0/8",
        ),
        (1, Ready("b"), "peer 12 by b as Inbound"),
        (1, Close("a"), "dropped 11 by a"),
        (1, Close("c"), ""),
        (2, Accept("e", "127.0.0.1"), "refuse e: its address is outside the net restriction"),
        (3, Policy(Some("")), "end b: disconnect requested; policy "),
        (3, Close("b"), "dropped 12 by b"),
        (4, Policy(None), "policy of everybody"),
        (4, Accept("f", "127.0.0.1"), "proceed f"),
        // The stream has been there all along.
        (4, Identify("d", 13), "greet d"),
    ]);
}

#[test]
fn a_new_policy_cancels_the_dials_that_it_forbids_and_says_so() {
    World::new(config(small())).play(&[
        (0, Candidate(11), "accepting; want 6; dial 11; want 5"),
        (0, CandidateAt(12, "192.0.2.1:1"), "dial 12 at 192.0.2.1:1; want 4"),
        (
            1,
            Policy(Some("192.0.2.0/24")),
            "cancel 11; 11 failed: its address is outside the net restriction; policy 192.0.2.0/24; want 5",
        ),
        // It was connected already.
        (1, DialOk(11, "a"), "end a: disconnect requested"),
        (1, Close("a"), ""),
        (2, Candidate(13), "skip 13: its address is outside the net restriction; want 5"),
        (2, DialOk(12, "b"), ""),
        // The dial is over, and the handshake ends with its connection.
        (3, Policy(Some("fd00::/8")), "end b: disconnect requested; policy fd00::/8"),
        (
            3,
            Close("b"),
            "12 failed: handshake failed: we disconnected: the connection was lost; want 6",
        ),
    ]);
}

#[test]
fn a_static_node_waits_while_it_is_forbidden_and_is_dialed_at_once_when_it_is_not() {
    World::new(config(small())).play(&[
        (0, AddStatic(11), "accepting; want 6; dial 11"),
        (0, AddStaticAt(12, "a.example:1"), "resolve a.example"),
        (
            1,
            Policy(Some("192.0.2.0/24")),
            "cancel 11; policy 192.0.2.0/24; \
             11 failed: its address is outside the net restriction, again in 35 s",
        ),
        // Names are asked once their addresses are known.
        (
            2,
            Resolved(&["10.0.0.12"]),
            "12 failed: its address is outside the net restriction, again in 35 s",
        ),
        (3, AddStatic(13), "13 failed: its address is outside the net restriction, again in 35 s"),
        // The other one was dialed a moment ago: there is the history to be waited for.
        (4, Policy(None), "policy of everybody; resolve a.example; dial 13"),
        (34, Wait, ""),
        (35, Wait, "dial 11"),
        (37, Wait, ""),
    ]);
}

#[test]
fn a_static_node_with_several_addresses_is_dialed_again_at_those_that_are_left() {
    World::new(config(small())).play(&[
        (0, AddStaticAt(11, "a.example:1"), "accepting; want 6; resolve a.example"),
        (0, Resolved(&["10.0.0.1", "192.0.2.1"]), "dial 11 at 10.0.0.1:1 192.0.2.1:1"),
        (1, Policy(Some("192.0.2.0/24")), "cancel 11; policy 192.0.2.0/24; resolve a.example"),
        (1, Resolved(&["10.0.0.1", "192.0.2.1"]), "dial 11 at 192.0.2.1:1"),
    ]);
}

#[test]
fn a_server_that_stops_changes_its_policy_no_more() {
    let policy = Policy::default().with_net_restrict(Some("10.0.0.0/8".parse().unwrap()));
    let mut world = World::new(config(small()).with_policy(policy.clone()));
    world.play(&[
        (0, AcceptOf("a", 11), "accepting; want 6; proceed a"),
        (0, Stop, "end a: client quitting; not accepting; want 0"),
        (0, Policy(None), ""),
        (1, Close("a"), "stopped"),
    ]);
    assert_eq!(world.server.policy(), &policy);
}
