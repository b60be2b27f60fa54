//! The dial scheduler, in rounds of (second, what happens, outputs). Row ids are those of the
//! reference.

use std::{collections::BTreeSet, time::Duration};

use peerage_node::Policy;
use peerage_peering::{Config, Limits, Source};

use crate::support::{Do::*, *};

/// Nine peers, three of them to dial: six candidates are wanted at first.
fn small() -> Limits {
    limits().with_max_peers(9)
}

fn restricted(limits: Limits) -> Config {
    let networks = Some("10.0.0.0/24, 2001:db8::/32".parse().unwrap());
    config(limits).with_policy(Policy::default().with_net_restrict(networks))
}

/// TestDialSchedDynDial: rows D1, D2.
#[test]
fn candidates_are_wanted_twice_as_often_as_dialed_peers_are_missing() {
    World::new(config(small())).play(&[
        (0, Wait, "accepting; want 6"),
        (0, Candidate(11), "dial 11; want 5"),
        (0, Candidate(12), "dial 12; want 4"),
        // A handshake is still in flight.
        (1, DialOk(11, "a"), ""),
        (1, Identify("a", 11), "greet a"),
        // Two are missing now, and one is in flight.
        (1, Ready("a"), "peer 11 by a as Dialed; want 3"),
        // Connected: skipped, and the source is told that it may go on.
        (2, Candidate(11), "skip 11: it is a peer already; want 3"),
        (2, DialErr(12), "12 failed: dial failed: connection refused; want 4"),
        // An inbound peer takes no slot for dialing.
        (3, PeerIn("b", 13), "proceed b; greet b; peer 13 by b as Inbound"),
        (3, Candidate(14), "dial 14; want 3"),
        (3, PeerOut("c", 14), "greet c; peer 14 by c as Dialed; want 2"),
        (3, Candidate(15), "dial 15; want 1"),
        (3, PeerOut("d", 15), "greet d; peer 15 by d as Dialed; want 0"),
        // More than wanted: dropped.
        (4, Candidate(16), "skip 16: no more dials are wanted now; want 0"),
        // A slot is free again.
        (5, Close("c"), "dropped 14 by c; want 2"),
        (5, Candidate(16), "dial 16; want 1"),
    ]);
}

#[test]
fn a_candidate_that_is_skipped_names_its_source_and_what_is_wanted_follows_each() {
    let mine = Source::new("mine");
    World::new(config(small())).play(&[
        (0, Wait, "accepting; want 6"),
        (0, CandidateOf(Source::DISCOVERY_V4, 11), "dial 11; want 5"),
        (0, CandidateOf(mine, 11), "skip 11 of mine: it is being dialed; want 5"),
        (0, CandidateOf(mine, 12), "dial 12; want 4"),
        (0, Candidate(12), "skip 12: it is being dialed; want 4"),
        (1, DialErr(12), "12 failed: dial failed: connection refused; want 5"),
    ]);
}

#[test]
fn dials_in_flight_are_bounded_whatever_is_missing() {
    World::new(config(limits().with_max_dialing(2))).play(&[
        (0, Wait, "accepting; want 2"),
        (0, Candidate(11), "dial 11; want 1"),
        (0, Candidate(12), "dial 12; want 0"),
        (0, Candidate(13), "skip 13: no more dials are wanted now; want 0"),
        // Static nodes wait as well.
        (0, AddStatic(14), ""),
        (0, DialErr(11), "11 failed: dial failed: connection refused; dial 14"),
    ]);
}

#[test]
fn a_dial_that_nobody_answers_in_time_is_cancelled_and_said_to_have_failed() {
    let config = config(small()).with_dial_timeout(Duration::from_secs(15));
    World::new(config).play(&[
        (0, Candidate(11), "accepting; want 6; dial 11; want 5"),
        (5, AddStatic(12), "dial 12"),
        (14, Wait, ""),
        (15, Wait, "cancel 11; 11 failed: dial failed: no answer in time; want 6"),
        (19, Wait, ""),
        (20, Wait, "cancel 12; 12 failed: dial failed: no answer in time, again in 35 s"),
        // Both are still in flight for as long as the driver has not ended them.
        (20, DialErr(11), ""),
        // One has connected meanwhile: nobody wants that any longer.
        (20, DialOk(12, "a"), "end a: disconnect requested"),
        (21, Close("a"), ""),
        // In time, the deadline is that of the handshake.
        (55, Wait, "dial 12"),
        (69, DialOk(12, "b"), ""),
        (99, Identify("b", 12), "greet b"),
    ]);
}

/// Row D3, in its order.
#[test]
fn a_candidate_is_not_dialed_when_anything_speaks_against_it() {
    World::new(restricted(small())).play(&[
        (0, Wait, "accepting; want 6"),
        // Ourselves.
        (0, Candidate(1), "skip 1: it is this node itself; want 6"),
        // No TCP port; a name, which only a user may have dialed.
        (0, CandidateAt(11, "10.0.0.11:0"), "skip 11: it has no TCP address; want 6"),
        (0, CandidateAt(11, "example.org:30303"), "skip 11: it has no TCP address; want 6"),
        // TestDialSchedNetRestrict.
        (
            0,
            CandidateAt(11, "10.0.1.11:30303"),
            "skip 11: its address is outside the net restriction; want 6",
        ),
        (
            0,
            CandidateAt(11, "[2001:db9::1]:30303"),
            "skip 11: its address is outside the net restriction; want 6",
        ),
        (0, CandidateAt(11, "[2001:db8::1]:30303"), "dial 11 at [2001:db8::1]:30303; want 5"),
        // Already dialed, with another address.
        (0, Candidate(11), "skip 11: it is being dialed; want 5"),
        // A moment ago.
        (1, DialErr(11), "11 failed: dial failed: connection refused; want 6"),
        (34, Candidate(11), "skip 11: it was dialed a short time ago; want 6"),
        (35, Candidate(11), "dial 11; want 5"),
        // Its own schedule.
        (35, AddStatic(12), "dial 12"),
        (36, DialErr(12), "12 failed: dial failed: connection refused, again in 35 s"),
        (70, Candidate(12), "skip 12: it is a static node, and dialed as such; want 5"),
    ]);
}

/// TestDialSchedHistory: row D4.
#[test]
fn no_node_is_dialed_twice_within_the_history_not_even_after_remove_and_add() {
    World::new(config(small())).play(&[
        (0, AddStatic(11), "accepting; want 6; dial 11"),
        (1, PeerOut("a", 11), "greet a; peer 11 by a as Static"),
        (2, RemoveStatic(11), "end a: disconnect requested"),
        (2, Close("a"), "dropped 11 by a"),
        (3, AddStatic(11), ""),
        (34, Wait, ""),
        (35, Wait, "dial 11"),
        (36, RemoveStatic(11), "cancel 11"),
        // A candidate has the same history.
        (69, Candidate(11), "skip 11: it was dialed a short time ago; want 6"),
        (70, Candidate(11), "dial 11; want 5"),
    ]);
}

/// TestDialSchedStaticDial, and better than rows T2 and T3: static nodes take no slot of others.
#[test]
fn every_static_node_is_connected_and_candidates_are_dialed_beside_them() {
    let mut world = World::new(config(limits().with_max_peers(3)));
    world.play(&[(0, Wait, "accepting; want 2")]);
    for (n, conn) in [(11, "a"), (12, "b"), (13, "c"), (14, "d"), (15, "e")] {
        world.play(&[
            (0, AddStatic(n), &format!("dial {n}")),
            (0, PeerOut(conn, n), &format!("greet {conn}; peer {n} by {conn} as Static")),
        ]);
    }
    world.play(&[
        // The ordinary slots are all there: one to dial, two for inbound peers.
        (1, PeerIn("f", 21), "proceed f; greet f; peer 21 by f as Inbound"),
        (1, PeerIn("g", 22), "proceed g; greet g; peer 22 by g as Inbound"),
        (1, Candidate(23), "dial 23; want 1"),
        (1, PeerOut("h", 23), "greet h; peer 23 by h as Dialed; want 0"),
        // Full. A static node connects nevertheless.
        (2, AddStatic(24), "dial 24"),
        (2, PeerOut("i", 24), "greet i; peer 24 by i as Static"),
        // It lasted, so it is dialed again at once.
        (70, Close("i"), "dropped 24 by i; dial 24"),
    ]);
    assert_eq!(world.server.counts().peers, 8);
}

/// TestDialSchedStaticDial: preferred to candidates.
#[test]
fn static_nodes_get_free_room_before_candidates_are_asked_for() {
    World::new(config(limits().with_max_dialing(1))).play(&[
        (0, Candidate(11), "accepting; want 1; dial 11; want 0"),
        (0, AddStatic(12), ""),
        (0, DialErr(11), "11 failed: dial failed: connection refused; dial 12"),
        (0, DialErr(12), "12 failed: dial failed: connection refused, again in 35 s; want 1"),
    ]);
}

/// TestDialSchedManyStaticNodes.
#[test]
fn among_static_nodes_that_are_due_the_choice_is_random() {
    let first = |seed| {
        let static_nodes = (11..=40).map(node).collect();
        let config = config(limits().with_max_dialing(1)).with_static_nodes(static_nodes);
        let lines = World::seeded(config, seed).advance(0);
        assert_eq!(lines.len(), 4, "{lines:?}");
        lines[2].clone()
    };
    let chosen: BTreeSet<String> = (0..20).map(first).collect();
    assert!(chosen.len() > 5, "{chosen:?}");
    assert_eq!(first(3), first(3));
}

/// TestDialSchedRemoveStatic.
#[test]
fn a_removed_static_node_is_not_dialed() {
    World::new(config(small())).play(&[
        (0, AddStatic(11), "accepting; want 6; dial 11"),
        (1, DialErr(11), "11 failed: dial failed: connection refused, again in 35 s"),
        (2, RemoveStatic(11), ""),
        (400, Wait, ""),
        // While it is being dialed, and while its handshake is under way.
        (400, AddStatic(11), "dial 11"),
        (400, RemoveStatic(11), "cancel 11"),
        // The cancellation came too late: nobody wants the connection.
        (400, DialOk(11, "a"), "end a: disconnect requested"),
        (400, Close("a"), ""),
        (500, AddStatic(11), "dial 11"),
        (500, DialOk(11, "b"), ""),
        (500, RemoveStatic(11), "end b: disconnect requested; want 5"),
        (
            501,
            Close("b"),
            "11 failed: handshake failed: we disconnected: the connection was lost; want 6",
        ),
        (900, Wait, ""),
    ]);
}

/// Row T4, and T6: there a dead static node is dialed twice each minute, for ever.
#[test]
fn a_dead_static_node_is_dialed_for_ever_ever_less_often() {
    let mut world = World::new(config(small()));
    world.play(&[(0, AddStatic(11), "accepting; want 6; dial 11")]);
    let mut at = 0;
    for wait in [35, 70, 140, 280, 300, 300, 300] {
        let failed = format!("11 failed: dial failed: connection refused, again in {wait} s");
        world.play(&[(at, DialErr(11), &failed), (at + wait - 1, Wait, "")]);
        at += wait;
        world.play(&[(at, Wait, "dial 11")]);
    }
    // A connection that does not last is a failure as well (row D9: there nothing follows from it).
    world.play(&[
        (at, PeerOut("a", 11), "greet a; peer 11 by a as Static"),
        (at + 59, Close("a"), "dropped 11 by a"),
        (at + 358, Wait, ""),
        (at + 359, Wait, "dial 11"),
        (at + 359, DialOk(11, "b"), ""),
        (
            at + 360,
            Close("b"),
            "11 failed: handshake failed: we disconnected: the connection was lost, again in 300 s",
        ),
        (at + 660, Wait, "dial 11"),
        // One that lasts is the end of the row.
        (at + 661, PeerOut("c", 11), "greet c; peer 11 by c as Static"),
        (at + 721, Close("c"), "dropped 11 by c; dial 11"),
        (at + 722, DialErr(11), "11 failed: dial failed: connection refused, again in 35 s"),
    ]);
}

#[test]
fn jitter_keeps_static_nodes_apart_that_failed_together() {
    let config = config(Limits::default()).with_static_nodes(vec![node(11), node(12)]);
    let mut world = World::new(config);
    world.advance(0);
    world.act(&DialErr(11));
    world.act(&DialErr(12));
    let due: BTreeSet<_> = world.server.statics().map(|of| of.next_dial.unwrap()).collect();
    assert_eq!(due.len(), 2);
    let soonest = world.now().mono + Duration::from_secs(35);
    assert!(due.iter().all(|at| *at >= soonest && *at < soonest + Duration::from_secs(7)));
}

/// Row S4: there the endpoint of a static node cannot be changed.
#[test]
fn adding_a_static_node_again_gives_it_the_new_endpoint_and_dials_at_once() {
    World::new(config(small())).play(&[
        (0, AddStatic(11), "accepting; want 6; dial 11"),
        // The same endpoint changes nothing.
        (1, AddStatic(11), ""),
        (1, AddStaticAt(11, "10.0.9.9:1"), "cancel 11; dial 11 at 10.0.9.9:1"),
        (2, DialErr(11), "11 failed: dial failed: connection refused, again in 35 s"),
        (3, AddStaticAt(11, "10.0.9.9:1"), ""),
        (3, AddStaticAt(11, "10.0.9.9:2"), "dial 11 at 10.0.9.9:2"),
        // A handshake with the old endpoint is in the way.
        (4, DialOk(11, "a"), ""),
        (4, AddStatic(11), "end a: disconnect requested; dial 11"),
        (4, Close("a"), ""),
        (5, PeerOut("b", 11), "greet b; peer 11 by b as Static"),
        // Connected: for the next time.
        (6, AddStaticAt(11, "10.0.9.9:3"), ""),
        (99, Close("b"), "dropped 11 by b; dial 11 at 10.0.9.9:3"),
    ]);
}

/// TestDialSchedDNSHostname: row T5.
#[test]
fn a_static_node_with_a_name_is_resolved_at_each_dial() {
    World::new(config(small())).play(&[
        (0, AddStaticAt(11, "example.org:30303"), "accepting; want 6; resolve example.org"),
        (
            1,
            Resolved(&["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "0.0.0.0"]),
            "dial 11 at 192.0.2.1:30303 [2001:db8::1]:30303",
        ),
        (2, DialErr(11), "11 failed: dial failed: connection refused, again in 35 s"),
        (37, Wait, "resolve example.org"),
        (38, Resolved(&[]), "11 failed: no address of it could be found, again in 70 s"),
        (108, Wait, "resolve example.org"),
        // It has moved.
        (108, Resolved(&["192.0.2.2"]), "dial 11 at 192.0.2.2:30303"),
        (109, DialErr(11), "11 failed: dial failed: connection refused, again in 140 s"),
        // An answer to a question that nobody asks any longer.
        (249, Wait, "resolve example.org"),
        (250, RemoveStatic(11), ""),
        (250, Resolved(&["192.0.2.2"]), ""),
    ]);
}

#[test]
fn a_name_with_hundreds_of_addresses_is_dialed_at_a_few() {
    const MANY: &[&str] = &[
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "192.0.2.4",
        "192.0.2.5",
        "192.0.2.6",
        "192.0.2.7",
        "192.0.2.8",
        "192.0.2.9",
        "192.0.2.10",
    ];
    let mut world = World::new(config(small()));
    world.play(&[(0, AddStaticAt(11, "a.example:1"), "accepting; want 6; resolve a.example")]);
    let lines = world.act(&Resolved(MANY));
    assert_eq!(lines[0].matches("192.0.2.").count(), 8, "{lines:?}");
}

/// Row T7: there a node with nothing but a name is never dialed, and its addresses are never
/// checked.
#[test]
fn net_restriction_holds_for_the_addresses_behind_a_name() {
    World::new(restricted(small())).play(&[
        (0, AddStaticAt(11, "example.org:1"), "accepting; want 6; resolve example.org"),
        (0, Resolved(&["192.0.2.1", "10.0.0.99"]), "dial 11 at 10.0.0.99:1"),
        (0, DialErr(11), "11 failed: dial failed: connection refused, again in 35 s"),
        (35, Wait, "resolve example.org"),
        (
            35,
            Resolved(&["192.0.2.1"]),
            "11 failed: its address is outside the net restriction, again in 70 s",
        ),
        // One with an address says so too, instead of never being heard of.
        (
            36,
            AddStaticAt(12, "192.0.2.1:1"),
            "12 failed: its address is outside the net restriction, again in 35 s",
        ),
    ]);
}

/// TestDialSchedResolve: row T6, where the backoff never engages.
#[test]
fn a_static_node_without_endpoint_is_looked_for_ever_less_often() {
    World::new(config(small())).play(&[
        (0, AddKey(11), "accepting; want 6; locate 11"),
        // One question at a time.
        (0, AddKey(11), ""),
        (50, Wait, ""),
        (50, Located(None), "11 failed: no address of it could be found, again in 35 s"),
        (84, AddKey(11), ""),
        (85, Wait, "locate 11"),
        // Another node is none, and neither is one without an address.
        (
            85,
            Located(Some((12, "192.0.2.1:1"))),
            "11 failed: no address of it could be found, again in 70 s",
        ),
        (155, Wait, "locate 11"),
        (
            155,
            Located(Some((11, "192.0.2.1:0"))),
            "11 failed: no address of it could be found, again in 140 s",
        ),
        (295, Wait, "locate 11"),
        (296, Located(Some((11, "192.0.2.1:1"))), "dial 11 at 192.0.2.1:1"),
        // An answer that comes twice is not known.
        (296, Located(Some((11, "192.0.2.2:1"))), ""),
        (297, DialErr(11), "11 failed: dial failed: connection refused, again in 280 s"),
        // It may be elsewhere by then.
        (577, Wait, "locate 11"),
        (577, Located(Some((11, "192.0.2.2:1"))), "dial 11 at 192.0.2.2:1"),
        (577, PeerOut("a", 11), "greet a; peer 11 by a as Static"),
        (700, Close("a"), "dropped 11 by a; locate 11"),
    ]);
}

#[test]
fn a_static_node_is_looked_for_no_longer_once_its_endpoint_or_the_node_itself_comes() {
    World::new(config(small())).play(&[
        (0, AddKey(11), "accepting; want 6; locate 11"),
        (1, AddStatic(11), "dial 11"),
        (1, Located(Some((11, "192.0.2.1:1"))), ""),
        (2, AddKey(12), "locate 12"),
        (2, PeerIn("a", 12), "proceed a; greet a; peer 12 by a as Static"),
        (2, Located(Some((12, "192.0.2.1:1"))), ""),
        (3, AddKey(13), "locate 13"),
        (3, RemoveStatic(13), ""),
        (3, Located(Some((13, "192.0.2.1:1"))), ""),
        (99, Wait, ""),
    ]);
}

#[test]
fn net_restriction_holds_for_where_a_node_is_found() {
    World::new(restricted(small())).play(&[
        (0, AddKey(11), "accepting; want 6; locate 11"),
        (
            0,
            Located(Some((11, "192.0.2.1:1"))),
            "11 failed: its address is outside the net restriction, again in 35 s",
        ),
        (35, Wait, "locate 11"),
        (35, Located(Some((11, "10.0.0.99:1"))), "dial 11 at 10.0.0.99:1"),
    ]);
}

/// TestDialSchedPendingInbound.
#[test]
fn a_node_whose_inbound_handshake_is_under_way_is_dialed_only_after_it() {
    World::new(config(small())).play(&[
        (0, AcceptOf("a", 11), "accepting; want 6; proceed a"),
        (0, Identify("a", 11), "greet a"),
        (0, Candidate(11), "skip 11: a handshake with it is under way; want 6"),
        (0, AddStatic(11), ""),
        (9, Close("a"), "dial 11"),
        // The same address in its other form.
        (10, DialErr(11), "11 failed: dial failed: connection refused, again in 35 s"),
        (44, Accept("b", "::ffff:10.0.0.11"), "proceed b"),
        (44, Identify("b", 11), "greet b"),
        (45, Wait, ""),
        (46, Close("b"), "dial 11"),
    ]);
}

/// Row I11: there the failure of a second connection clears the mark of the first.
#[test]
fn a_second_inbound_handshake_that_fails_leaves_the_mark_of_the_first() {
    World::new(config(small())).play(&[
        (0, AcceptOf("a", 11), "accepting; want 6; proceed a"),
        (0, Identify("a", 11), "greet a"),
        (0, AcceptOf("b", 11), "proceed b"),
        (0, Identify("b", 11), "greet b"),
        (1, Close("b"), ""),
        (1, Candidate(11), "skip 11: a handshake with it is under way; want 6"),
        (2, Close("a"), ""),
        (2, Candidate(11), "dial 11; want 5"),
    ]);
}

/// The key in an inbound handshake is only claimed until the first frame.
#[test]
fn a_stranger_who_claims_a_nodes_key_for_ever_cannot_stop_the_dials_to_it() {
    let mut world = World::new(config(small()).with_trusted(vec![id(11)]));
    world.play(&[(0, Wait, "accepting; want 6")]);
    let names = [["s0", "t0"], ["s1", "t1"], ["s2", "t2"], ["s3", "t3"]];
    let mut at = 0;
    for (round, [first, second]) in names.into_iter().enumerate() {
        // One is always there, from a public address, or a local one as an attacker in the office
        // has.
        world.play(&[
            (at, Accept(first, "203.0.113.1"), &format!("proceed {first}")),
            (at, Identify(first, 11), &format!("greet {first}")),
            (at, Accept(second, "10.9.9.9"), &format!("proceed {second}")),
            (at, Identify(second, 11), &format!("greet {second}")),
        ]);
        let wait = [35, 70, 140, 280][round];
        let failed = format!("11 failed: dial failed: connection refused, again in {wait} s");
        if round == 0 {
            world.play(&[(at, AddStatic(11), "dial 11")]);
        }
        world.play(&[
            (at, DialErr(11), &failed),
            (at + wait - 1, Wait, ""),
            (at + wait, Wait, "dial 11"),
        ]);
        at += wait;
    }
    // Nor hide that one failed at the handshake, nor change what the failures in a row have come
    // to.
    world.play(&[
        (at, DialOk(11, "a"), ""),
        (
            at,
            Close("a"),
            "11 failed: handshake failed: we disconnected: the connection was lost, again in 300 s",
        ),
        (at + 100, Close("s0"), ""),
        (at + 300, Wait, "dial 11"),
        (at + 300, PeerOut("b", 11), "greet b; peer 11 by b as Trusted"),
        // Candidates are dialed as well.
        (at + 301, Accept("x", "203.0.113.9"), "proceed x"),
        (at + 301, Identify("x", 12), "greet x"),
        (at + 301, Candidate(12), "dial 12; want 5"),
    ]);
}

#[test]
fn a_node_that_comes_while_its_name_is_looked_up_is_not_dialed() {
    World::new(config(small())).play(&[
        (0, AddStaticAt(11, "example.org:1"), "accepting; want 6; resolve example.org"),
        (0, Accept("a", "192.0.2.1"), "proceed a"),
        (0, Identify("a", 11), "greet a"),
        (1, Resolved(&["192.0.2.2", "192.0.2.1"]), ""),
        (1, Ready("a"), "peer 11 by a as Static"),
        (99, Close("a"), "dropped 11 by a; resolve example.org"),
        // Or becomes a peer: the answer is not waited for.
        (99, PeerIn("b", 11), "proceed b; greet b; peer 11 by b as Static"),
        (99, Resolved(&["192.0.2.1"]), ""),
    ]);
}

#[test]
fn a_name_whose_node_seemed_to_come_is_looked_up_again_after_a_while() {
    World::new(config(small())).play(&[
        (0, AddStaticAt(11, "example.org:1"), "accepting; want 6; resolve example.org"),
        (0, Accept("a", "192.0.2.1"), "proceed a"),
        (0, Identify("a", 11), "greet a"),
        // Not at once: whoever holds the connection would have us ask without end.
        (1, Resolved(&["192.0.2.1"]), ""),
        (9, Close("a"), ""),
        (35, Accept("b", "192.0.2.1"), "proceed b"),
        (35, Identify("b", 11), "greet b"),
        (36, Wait, "resolve example.org"),
        // The name has moved: whoever has the old address is a stranger now.
        (36, Resolved(&["192.0.2.7"]), "dial 11 at 192.0.2.7:1"),
    ]);
}

#[test]
fn a_stranger_who_claims_the_key_of_a_node_with_a_name_cannot_stop_the_dial() {
    World::new(config(small())).play(&[
        (0, Accept("a", "203.0.113.1"), "accepting; want 6; proceed a"),
        (0, Identify("a", 11), "greet a"),
        (0, AddStaticAt(11, "example.org:1"), "resolve example.org"),
        (1, Resolved(&["192.0.2.1"]), "dial 11 at 192.0.2.1:1"),
    ]);
}

/// Row D8: there the dial goes on.
#[test]
fn a_dial_in_flight_is_cancelled_when_its_node_becomes_a_peer() {
    World::new(config(small())).play(&[
        (0, Candidate(11), "accepting; want 6; dial 11; want 5"),
        (0, PeerIn("a", 11), "proceed a; greet a; peer 11 by a as Inbound; cancel 11; want 6"),
        // Nobody hears of the failure.
        (1, DialErr(11), ""),
        // Or it came too late.
        (40, Close("a"), "dropped 11 by a"),
        (40, Candidate(11), "dial 11; want 5"),
        (40, PeerIn("b", 11), "proceed b; greet b; peer 11 by b as Inbound; cancel 11; want 6"),
        (41, DialOk(11, "c"), "end c: already connected"),
        (41, Identify("c", 11), ""),
        (42, Close("c"), ""),
    ]);
}

/// Row C18.
#[test]
fn without_dialing_nothing_is_dialed_and_all_slots_are_inbound() {
    let static_nodes = vec![node(11)];
    let mut world = World::new(config(small()).with_dialing(false).with_static_nodes(static_nodes));
    world.play(&[
        (0, Wait, "accepting; want 0"),
        (0, Candidate(12), "skip 12: nobody is dialed; want 0"),
        (500, AddStatic(13), ""),
        (500, PeerIn("a", 11), "proceed a; greet a; peer 11 by a as Static"),
    ]);
    for (n, conn) in (21..30).zip(["b", "c", "d", "e", "f", "g", "h", "i", "j"]) {
        world.act(&PeerIn(conn, n));
    }
    assert_eq!(world.server.counts().inbound, 9);
}
