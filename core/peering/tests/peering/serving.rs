//! Checkpoints, slots and commands, in rounds of (second, what happens, outputs). Row ids are those
//! of the reference.

use peerage_node::{List, Policy};
use peerage_peering::{Limits, Privileges};

use crate::support::{Do::*, *};

/// Three peers: one to dial, two inbound.
fn small() -> Limits {
    limits().with_max_peers(3)
}

/// TestServerAtCap, TestServerPeerLimits: rows C2, S6, T1.
#[test]
fn what_is_kept_of_an_earlier_run_yields_to_what_is_said_now() {
    let now = config(limits()).with_static_nodes(vec![node_at(11, "10.9.9.9:1")]);
    let mut world = World::new(now.with_kept(vec![node(11), node(12)], vec![id(13)]));
    world.act(&Wait);
    world.advance(0);
    let statics: Vec<_> = world.server.statics().map(|it| it.node.clone()).collect();
    assert!(statics.contains(&node_at(11, "10.9.9.9:1")) && statics.contains(&node(12)));
    assert_eq!((statics.len(), world.server.trusted().contains(&id(13))), (2, true));
}

#[test]
fn what_the_user_lists_at_run_time_is_to_be_kept_and_what_is_taken_off_forgotten() {
    let mut world = World::new(config(limits()));
    for what in [AddStatic(11), AddTrusted(12), RemoveStatic(11), RemoveTrusted(12)] {
        world.act(&what);
    }
    let (a, b) = ((List::Static, id(11)), (List::Trusted, id(12)));
    let listed = [(a, true), (b, true), (a, false), (b, false)];
    assert_eq!(world.kept, listed.map(|((list, id), is_kept)| (list, id, is_kept)));
    // Nothing is changed once it ends.
    world.act(&Stop);
    world.act(&AddStatic(13));
    assert_eq!(world.kept.len(), 4);
}

#[test]
fn a_full_server_takes_trusted_nodes_only() {
    let trusted = vec![id(31)];
    World::new(config(small()).with_trusted(trusted)).play(&[
        (0, PeerIn("a", 11), "accepting; want 2; proceed a; greet a; peer 11 by a as Inbound"),
        (0, PeerIn("b", 12), "proceed b; greet b; peer 12 by b as Inbound"),
        (0, Accept("c", "127.0.0.1"), "proceed c"),
        (0, Identify("c", 13), "reject c: too many peers"),
        (0, Close("c"), ""),
        (1, PeerIn("d", 31), "proceed d; greet d; peer 31 by d as Trusted"),
        // Trust that is given and taken moves a connected peer between the slots.
        (2, AddTrusted(11), "slot of 11: Trusted"),
        (2, AddTrusted(11), ""),
        (2, PeerIn("e", 14), "proceed e; greet e; peer 14 by e as Inbound"),
        // Over the cap now: it stays, and nobody else comes.
        (3, RemoveTrusted(11), "slot of 11: Inbound; want 0"),
        (3, Close("b"), "dropped 12 by b; want 2"),
        (3, Accept("f", "127.0.0.1"), "proceed f"),
        (3, Identify("f", 15), "reject f: too many peers"),
        (3, Close("f"), ""),
        // Taking it from one that is gone applies when it comes again.
        (4, Close("d"), "dropped 31 by d"),
        (4, RemoveTrusted(31), ""),
        (4, Accept("g", "127.0.0.1"), "proceed g"),
        (4, Identify("g", 31), "reject g: too many peers"),
    ]);
}

/// TestServerPeerLimits.
#[test]
fn a_server_without_slots_takes_trusted_and_static_nodes_only() {
    World::new(config(limits().with_max_peers(0))).play(&[
        (0, Accept("a", "127.0.0.1"), "accepting; want 0; proceed a"),
        (0, Identify("a", 11), "reject a: too many peers"),
        (0, AddTrusted(12), ""),
        (0, PeerIn("b", 12), "proceed b; greet b; peer 12 by b as Trusted"),
        (0, AddStatic(13), "dial 13"),
        (0, PeerOut("c", 13), "greet c; peer 13 by c as Static"),
        // Whoever dials.
        (99, Close("c"), "dropped 13 by c; dial 13"),
        (99, PeerIn("d", 13), "proceed d; greet d; peer 13 by d as Static; cancel 13"),
    ]);
}

/// Rows C2 and T3.
#[test]
fn trusted_and_static_peers_never_starve_ordinary_ones() {
    let mut world = World::new(config(small()));
    world.advance(0);
    for (n, conn) in (31..).zip(["a", "b", "c", "d", "e", "f"]) {
        world.act(&AddTrusted(n));
        world.act(&PeerIn(conn, n));
    }
    world.play(&[
        (1, PeerIn("g", 11), "proceed g; greet g; peer 11 by g as Inbound"),
        (1, PeerIn("h", 12), "proceed h; greet h; peer 12 by h as Inbound"),
        (1, Candidate(13), "dial 13; want 1"),
        (1, PeerOut("i", 13), "greet i; peer 13 by i as Dialed; want 0"),
    ]);
}

#[test]
fn becoming_static_moves_a_connected_peer_to_a_slot_of_its_own() {
    World::new(config(small())).play(&[
        (0, PeerIn("a", 11), "accepting; want 2; proceed a; greet a; peer 11 by a as Inbound"),
        (0, AddStatic(11), "slot of 11: Static"),
        (0, AddTrusted(11), "slot of 11: Trusted"),
        (0, RemoveTrusted(11), "slot of 11: Static"),
    ]);
}

/// The slot that was free at the first checkpoint may be taken at the second: row I9.
#[test]
fn both_checkpoints_ask_the_same() {
    World::new(config(limits().with_max_peers(2))).play(&[
        (0, Accept("a", "127.0.0.1"), "accepting; want 2; proceed a"),
        (0, Accept("b", "127.0.0.1"), "proceed b"),
        (0, Identify("a", 11), "greet a"),
        (0, Identify("b", 12), "greet b"),
        (0, Ready("a"), "peer 11 by a as Inbound"),
        (0, Ready("b"), "reject b: too many peers"),
        (0, Close("b"), ""),
    ]);
}

/// TestServerSetupConn: useless, self, another identity than was dialed, a second connection.
#[test]
fn connections_are_rejected_with_the_reason_that_fits() {
    World::new(config(limits())).play(&[
        (0, Accept("a", "127.0.0.1"), "accepting; want 32; proceed a"),
        (0, Identify("a", 11), "greet a"),
        (0, ReadyUseless("a"), "reject a: useless peer"),
        (0, Accept("b", "127.0.0.1"), "proceed b"),
        (0, Identify("b", 1), "reject b: connected to self"),
        (0, Candidate(12), "dial 12; want 31"),
        (0, DialOk(12, "c"), ""),
        (0, Identify("c", 13), "reject c: unexpected identity"),
        (
            0,
            Close("c"),
            "12 failed: handshake failed: we disconnected: the connection was lost; want 32",
        ),
        (0, PeerIn("d", 14), "proceed d; greet d; peer 14 by d as Inbound"),
        (0, Accept("e", "127.0.0.1"), "proceed e"),
        (0, Identify("e", 14), "reject e: already connected"),
        (0, Close("e"), ""),
        // What a driver says of a connection that has been rejected changes nothing.
        (0, Ready("b"), ""),
        (0, Identify("b", 15), ""),
        (0, Close("b"), ""),
        (0, Close("b"), ""),
    ]);
}

/// Row C13.
#[test]
fn a_server_without_protocols_finds_nobody_useless() {
    let config = config(limits()).with_require_shared_capability(false);
    World::new(config).play(&[
        (0, Accept("a", "127.0.0.1"), "accepting; want 32; proceed a"),
        (0, Identify("a", 11), "greet a"),
        (0, ReadyUseless("a"), "peer 11 by a as Inbound"),
    ]);
}

/// TestServerRemovePeerDisconnect: rows S5, T9.
#[test]
fn removing_a_static_node_disconnects_it_and_it_is_dropped_once_it_has_gone() {
    World::new(config(small())).play(&[
        (0, AddStatic(11), "accepting; want 2; dial 11"),
        (0, PeerOut("a", 11), "greet a; peer 11 by a as Static"),
        (70, RemoveStatic(11), "end a: disconnect requested"),
        (70, RemoveStatic(11), ""),
        (70, Disconnect(11), ""),
        // It is still there, and takes no other slot.
        (70, AddTrusted(11), ""),
        (71, Close("a"), "dropped 11 by a"),
        // Not redialed, and not banned; a trusted node stays trusted.
        (500, Wait, ""),
        (500, PeerIn("b", 11), "proceed b; greet b; peer 11 by b as Trusted"),
        // A peer that never was static is disconnected as well.
        (501, RemoveStatic(11), "end b: disconnect requested"),
    ]);
}

#[test]
fn disconnecting_ends_every_connection_to_the_node_once() {
    World::new(config(small())).play(&[
        (0, PeerIn("a", 11), "accepting; want 2; proceed a; greet a; peer 11 by a as Inbound"),
        (0, Disconnect(11), "end a: subprotocol reason"),
        (0, Disconnect(11), ""),
        (0, Disconnect(12), ""),
        (0, Close("a"), "dropped 11 by a"),
        (0, Accept("b", "127.0.0.1"), "proceed b"),
        (0, Identify("b", 11), "greet b"),
        (0, Disconnect(11), "end b: subprotocol reason"),
        (0, Ready("b"), ""),
        (0, Close("b"), ""),
        // A static node comes back.
        (100, AddStatic(11), "dial 11"),
        (100, PeerOut("c", 11), "greet c; peer 11 by c as Static"),
        (200, Disconnect(11), "end c: subprotocol reason"),
        (200, Close("c"), "dropped 11 by c; dial 11"),
    ]);
}

/// TestServerInboundThrottle: rows I1, I2.
#[test]
fn a_stranger_who_comes_again_too_soon_is_refused_before_any_cryptography() {
    World::new(config(limits())).play(&[
        (0, Accept("a", "192.0.3.1"), "accepting; want 32; proceed a"),
        (0, Close("a"), ""),
        (29, Accept("b", "192.0.3.1"), "refuse b: its address came again too soon"),
        // Nothing more is heard of it, and nothing is kept.
        (29, Close("b"), ""),
        (30, Accept("c", "192.0.3.1"), "proceed c"),
    ]);
}

#[test]
fn the_listener_pauses_while_all_handshakes_are_taken() {
    World::new(config(limits().with_max_handshakes(2))).play(&[
        (0, Accept("a", "127.0.0.1"), "accepting; want 32; proceed a"),
        (0, Accept("b", "127.0.0.1"), "proceed b; not accepting"),
        // One that was on its way.
        (0, Accept("c", "127.0.0.1"), "refuse c: too many handshakes are under way"),
        // The place is free once the connection is a peer ...
        (0, Identify("a", 11), "greet a"),
        (0, Ready("a"), "peer 11 by a as Inbound; accepting"),
        (0, Accept("d", "127.0.0.1"), "proceed d; not accepting"),
        // ... or has closed; one that was rejected still has a socket until then.
        (0, Identify("b", 1), "reject b: connected to self"),
        (0, Close("b"), "accepting"),
    ]);
}

#[test]
fn streams_pass_the_checkpoints_but_neither_throttle_nor_bound() {
    let net_restrict = Some("10.0.0.0/8".parse().unwrap());
    let limits = limits().with_max_handshakes(0);
    let policy = Policy::default().with_net_restrict(net_restrict);
    World::new(config(limits).with_policy(policy)).play(&[
        (0, Stream("a", None), "not accepting; want 32"),
        (0, Identify("a", 11), "greet a"),
        (0, Ready("a"), "peer 11 by a as Inbound"),
        (0, Stream("b", Some(12)), ""),
        (0, Identify("b", 12), "greet b"),
        (0, Ready("b"), "peer 12 by b as Dialed; want 30"),
        (0, Stream("c", Some(13)), ""),
        (0, Identify("c", 14), "reject c: unexpected identity"),
        (0, Stream("d", None), ""),
        (0, Identify("d", 1), "reject d: connected to self"),
    ]);
}

/// Row S2.
#[test]
fn stopping_says_goodbye_to_everybody_and_waits_for_every_connection() {
    World::new(config(limits())).play(&[
        (0, PeerIn("a", 11), "accepting; want 32; proceed a; greet a; peer 11 by a as Inbound"),
        (0, Accept("b", "127.0.0.1"), "proceed b"),
        (0, Candidate(12), "dial 12; want 31"),
        (0, Candidate(13), "dial 13; want 30"),
        (0, DialOk(13, "c"), ""),
        (
            1,
            Stop,
            "cancel 12; end a: client quitting; end b: client quitting; end c: client quitting; \
             not accepting; want 0",
        ),
        (1, Stop, ""),
        (1, Accept("d", "127.0.0.1"), "refuse d: the server is stopping"),
        (1, Stream("e", None), "refuse e: the server is stopping"),
        (1, Identify("b", 14), ""),
        (1, AddStatic(15), ""),
        (1, Candidate(15), "skip 15: nobody is dialed; want 0"),
        (2, Close("a"), "dropped 11 by a"),
        (2, Close("b"), ""),
        (2, Close("c"), ""),
        // Too late to be cancelled.
        (2, DialOk(12, "f"), "end f: client quitting"),
        (3, Close("f"), "stopped"),
        (9, Stop, ""),
        (9, Accept("g", "127.0.0.1"), "refuse g: the server is stopping"),
    ]);
}

#[test]
fn an_idle_server_stops_at_once() {
    let static_nodes = vec![node_at(11, "example.org:1")];
    World::new(config(limits()).with_static_nodes(static_nodes)).play(&[
        (0, Wait, "accepting; want 32; resolve example.org"),
        // Nobody waits for a name.
        (0, Stop, "not accepting; want 0; stopped"),
        (0, Resolved(&["192.0.2.1"]), ""),
        (999, Wait, ""),
    ]);
}

#[test]
fn getters_show_what_there_is() {
    let mut world = World::new(config(limits()));
    world.advance(0);
    for what in [AddStatic(11), AddStatic(12), AddTrusted(13), Accept("a", "127.0.0.1")] {
        world.act(&what);
    }
    world.act(&DialErr(12));
    world.act(&PeerOut("b", 11));
    let counts = world.server.counts();
    assert_eq!((counts.peers, counts.dialing, counts.handshakes, counts.dialed), (1, 0, 1, 0));
    let peer = world.server.peers().get(&id(11)).unwrap();
    assert_eq!(world.server.remote(peer.conn), Some(endpoint(11)));
    assert_eq!(peer.key, key(11));
    let mut statics: Vec<_> = world
        .server
        .statics()
        .map(|of| (world.number(&of.node.id()), of.failures, of.next_dial.is_some()))
        .collect();
    statics.sort_unstable();
    assert_eq!(statics, [(11, 0, false), (12, 1, true)]);
    assert!(world.server.trusted().contains(&id(13)));
    assert_eq!(world.server.privileges(&id(13)), Privileges::Trusted);
}

/// Row I11: there both connections may end each other. Which one stays is seen from both sides in
/// `simultaneous`; here, what a driver is told on the way.
#[test]
fn the_preferred_of_two_connections_ends_the_other_and_takes_its_place() {
    // Whom we prefer to have dialed, and whom to be dialed by.
    let dialed = (11..30).find(|n| id(1) < id(*n)).unwrap();
    let dials_us = (11..30).find(|n| id(*n) < id(1)).unwrap();
    let (d, u) = (dialed, dials_us);
    World::new(config(small())).play(&[
        // The other is past the first checkpoint.
        (0, Candidate(d), &format!("accepting; want 2; dial {d}; want 1")),
        (0, DialOk(d, "a"), ""),
        (0, AcceptOf("b", d), "proceed b"),
        (0, Identify("b", d), "greet b"),
        (0, Identify("a", d), "greet a"),
        (0, Ready("a"), &format!("end b: already connected; peer {d} by a as Dialed; want 0")),
        (0, Ready("b"), ""),
        (0, Close("b"), ""),
        // The other is a peer: its protocols end, and its slot goes to the heir.
        (1, Close("a"), &format!("dropped {d} by a; want 2")),
        (40, Candidate(u), &format!("dial {u}; want 1")),
        (40, DialOk(u, "c"), ""),
        (40, Accept("e", "127.0.0.1"), "proceed e"),
        (40, Identify("c", u), "greet c"),
        (40, Ready("c"), &format!("peer {u} by c as Dialed; want 0")),
        (40, Identify("e", u), "greet e"),
        (
            40,
            Ready("e"),
            &format!("end c: already connected; dropped {u} by c; peer {u} by e as Dialed"),
        ),
        (40, Close("c"), ""),
        (50, Close("e"), &format!("dropped {u} by e; want 2")),
        // The one that is not preferred is refused at once.
        (90, Candidate(d), &format!("dial {d}; want 1")),
        (90, DialOk(d, "f"), ""),
        (90, Identify("f", d), "greet f"),
        (90, AcceptOf("g", d), "proceed g"),
        (90, Identify("g", d), "reject g: already connected"),
        // Unless it comes from elsewhere, and may be anybody's; then as soon as the other is ready.
        (90, Accept("h", "10.9.9.9"), "proceed h"),
        (90, Identify("h", d), "greet h"),
        (90, Ready("f"), &format!("end h: already connected; peer {d} by f as Dialed; want 0")),
    ]);
}

/// Where the stranger's claim is the preferred connection, the tie rule must not be their tool.
#[test]
fn a_stranger_who_claims_a_nodes_key_cannot_have_our_connection_to_it_refused() {
    // Whom we prefer to be dialed by, and whom we prefer to have dialed.
    let dials_us = (11..30).find(|n| id(*n) < id(1)).unwrap();
    let dialed = (11..30).find(|n| id(1) < id(*n)).unwrap();
    for n in [dials_us, dialed] {
        let mut world = World::new(config(small()));
        world.play(&[
            (0, AddStatic(n), &format!("accepting; want 2; dial {n}")),
            (0, Accept("s", "203.0.113.1"), "proceed s"),
            (0, Identify("s", n), "greet s"),
            (0, DialOk(n, "a"), ""),
            (0, Accept("t", "10.9.9.9"), "proceed t"),
            (0, Identify("t", n), "greet t"),
            (0, Identify("a", n), "greet a"),
            // As a pipe has no address, it proves nothing by it.
            (0, Stream("u", None), ""),
            (0, Identify("u", n), "greet u"),
        ]);
        let lines = world.act(&Ready("a")).join("; ");
        assert!(lines.ends_with(&format!("peer {n} by a as Static")), "{lines}");
        // It ends well or badly without a change to the peer.
        for conn in ["s", "t", "u"] {
            let lines = world.act(&Close(conn)).join("; ");
            assert_eq!(lines, "", "{conn}");
        }
        world.play(&[
            (1, Accept("v", "10.9.9.9"), "proceed v"),
            (60, Disconnect(n), "end a: subprotocol reason"),
            (61, Close("a"), &format!("dropped {n} by a; dial {n}")),
        ]);
    }
}

#[test]
fn a_stranger_who_claims_a_nodes_key_cannot_keep_the_node_out() {
    for n in
        [(11..30).find(|n| id(*n) < id(1)).unwrap(), (11..30).find(|n| id(1) < id(*n)).unwrap()]
    {
        World::new(config(small())).play(&[
            (0, Accept("s", "203.0.113.1"), "accepting; want 2; proceed s"),
            (0, Identify("s", n), "greet s"),
            (0, PeerIn("a", n), &format!("proceed a; greet a; peer {n} by a as Inbound")),
            (1, Accept("t", "203.0.114.1"), "proceed t"),
            (1, Identify("t", n), "reject t: already connected"),
            (2, Close("s"), ""),
            (2, Close("t"), ""),
        ]);
    }
}
