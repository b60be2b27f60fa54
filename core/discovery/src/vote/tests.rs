//! Whose word on our address counts, and when it is believed.

use std::time::Duration;

use super::{tally::MAX_VOTERS, *};

const START: Instant = Instant::START;
const OURS: &str = "84.1.2.3:30303";
const LIE: &str = "66.6.6.6:30303";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A voter in the `n`th public /24.
fn public(n: u8) -> SocketAddr {
    SocketAddr::from(([11, n, 1, 7], 30303))
}

fn vote(statements: impl IntoIterator<Item = (SocketAddr, &'static str)>) -> Vote {
    let mut vote = Vote::new();
    for (from, ours) in statements {
        vote.cast(START, from, addr(ours));
    }
    vote
}

#[test]
fn ten_subnets_decide_and_three_if_nobody_disagrees() {
    for (ours, lies, wins) in [
        // Unanimous.
        (2, 0, None),
        (3, 0, Some(OURS)),
        // Not.
        (9, 1, None),
        (10, 1, Some(OURS)),
        // A majority matters, not only the number.
        (10, 11, Some(LIE)),
    ] {
        // The lie comes first, so that the three are never unanimous.
        let lies = (100..100 + lies).map(|n| (public(n), LIE));
        let vote = vote(lies.chain((0..ours).map(|n| (public(n), OURS))));
        assert_eq!(vote.winner(Family::V4), wins.map(addr), "{ours}");
        assert_eq!(vote.winner(Family::V6), None);
    }
}

#[test]
fn one_subnet_is_one_voter_whatever_it_sends() {
    let vote = vote((0..=255).map(|n| (SocketAddr::from(([11, 1, 1, n], 1)), LIE)));
    assert_eq!((vote.winner(Family::V4), vote.voters()), (None, 1));
    let same_64 = |n: u16| format!("[2a01:4f8::{n:x}]:1").parse().unwrap();
    let vote = self::vote((1..100).map(|n| (same_64(n), "[2a01:1::1]:30303")));
    assert_eq!((vote.winner(Family::V6), vote.voters()), (None, 1));
}

#[test]
fn the_port_is_part_of_the_statement() {
    // A NAT that gives each destination another port: we cannot be reached, and state nothing.
    let mut vote = Vote::new();
    for n in 0..100 {
        vote.cast(START, public(n), SocketAddr::from(([84, 1, 2, 3], 1000 + u16::from(n))));
    }
    assert_eq!(vote.winner(Family::V4), None);
}

#[test]
fn a_new_address_replaces_the_old_and_silence_replaces_nothing() {
    let mut vote = vote((0..20).map(|n| (public(n), OURS)));
    let later = START + Duration::from_secs(3600);
    // Every statement has expired; two new ones are too few, three are enough.
    assert!(!vote.cast(later, public(0), addr("84.9.9.9:30303")));
    assert!(!vote.cast(later, public(1), addr("84.9.9.9:30303")));
    assert_eq!(vote.winner(Family::V4), Some(addr(OURS)));
    assert!(vote.cast(later, public(2), addr("84.9.9.9:30303")));
    assert_eq!(vote.winner(Family::V4), Some(addr("84.9.9.9:30303")));
}

#[test]
fn the_latest_statement_of_a_voter_counts_and_a_tie_changes_nothing() {
    for (first, second) in [(OURS, LIE), (LIE, OURS)] {
        let mut vote = vote((0..20).map(|n| (public(n), first)));
        for n in 0..10 {
            assert!(!vote.cast(START, public(n), addr(second)));
        }
        assert!(vote.cast(START, public(10), addr(second)));
        assert_eq!((vote.winner(Family::V4), vote.voters()), (Some(addr(second)), 20));
    }
}

#[test]
fn nobody_speaks_of_networks_that_are_not_theirs() {
    for (from, ours) in [
        // The world about our own network, or machine.
        (public(1), "192.168.1.5:30303"),
        (public(1), "127.0.0.1:30303"),
        // Neighbours about the world, or machine.
        (addr("192.168.1.6:30303"), OURS),
        (addr("192.168.1.6:30303"), "127.0.0.1:30303"),
        // This machine about anything else.
        (addr("127.0.0.1:1"), OURS),
        (addr("127.0.0.1:1"), "192.168.1.5:30303"),
        // One family about the other.
        (public(1), "[2a01::1]:30303"),
        // No address, or port.
        (public(1), "0.0.0.0:30303"),
        (public(1), "224.0.0.1:30303"),
        (public(1), "203.0.113.1:30303"),
        (public(1), "84.1.2.3:0"),
    ] {
        let vote = vote([(from, ours)]);
        assert_eq!(vote.voters(), 0, "{from} {ours}");
    }
}

#[test]
fn private_networks_agree_among_themselves() {
    // Containers in one /24; nodes on one machine.
    for (voters, ours) in [
        (["172.17.0.2:30303", "172.17.0.3:30303"], "172.17.0.4:30303"),
        (["127.0.0.1:30301", "127.0.0.1:30302"], "127.0.0.1:30303"),
        (["[::1]:30301", "[::1]:30302"], "[::1]:30303"),
    ] {
        let ours = addr(ours);
        let mut vote = Vote::new();
        assert!(!vote.cast(START, addr(voters[0]), ours));
        assert!(vote.cast(START, addr(voters[1]), ours));
        assert_eq!(vote.winner(Family::of(ours.ip())), Some(ours));
    }
}

#[test]
fn the_public_address_comes_first() {
    let lan = [("192.168.1.6:1", "192.168.1.5:30303"), ("192.168.1.7:1", "192.168.1.5:30303")];
    let mut vote = vote(lan.map(|(from, ours)| (addr(from), ours)));
    assert_eq!(vote.winner(Family::V4), Some(addr("192.168.1.5:30303")));
    for n in 0..3 {
        vote.cast(START, public(n), addr(OURS));
    }
    assert_eq!(vote.winner(Family::V4), Some(addr(OURS)));
}

#[test]
fn families_do_not_mix_and_mapped_addresses_are_ipv4() {
    let mapped = |n: u8| format!("[::ffff:11.{n}.1.7]:30303").parse().unwrap();
    let vote = vote((0..3).map(|n| (mapped(n), "[::ffff:84.1.2.3]:30303")));
    assert_eq!(vote.winner(Family::V4), Some(addr(OURS)));
    assert_eq!(vote.winner(Family::V6), None);
}

#[test]
fn memory_is_bounded() {
    let mut vote = Vote::new();
    for n in 0..2000u32 {
        let from = SocketAddr::from(((0x0b00_0000 + n * 256).to_be_bytes(), 1));
        vote.cast(START, from, addr(&format!("84.1.{}.3:30303", n % 256)));
    }
    assert_eq!(vote.voters(), MAX_VOTERS);
    let tally = &vote.tallies[&(Family::V4, Reach::Public)];
    assert_eq!(tally.votes.values().sum::<usize>(), MAX_VOTERS);
}
