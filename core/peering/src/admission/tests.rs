//! The truth table of [`admit`](super::admit).

use peerage_node::SecretKey;

use super::*;
use crate::{
    envelope::ConnId,
    peers::{Peer, Pending},
};

const IDENTIFIED: Checkpoint = Checkpoint::Identified;
const READY: Checkpoint = Checkpoint::Ready { useless: false };
const USELESS: Checkpoint = Checkpoint::Ready { useless: true };

/// Ids are chosen so that we prefer what we dialed to `HIGH`, and what `LOW` dialed to us.
const OWN: NodeId = NodeId([0x80; 32]);
const LOW: NodeId = NodeId([0x01; 32]);
const HIGH: NodeId = NodeId([0xff; 32]);

const ORDINARY: Privileges = Privileges::of(false, false);
const STATIC: Privileges = Privileges::of(true, false);
const TRUSTED: Privileges = Privileges::of(false, true);
const BOTH: Privileges = Privileges::of(true, true);

/// A peer in `slot`; its origin is that of the slot, and inbound for slots of their own.
fn peer(slot: Slot) -> Peer {
    let origin = if slot == Slot::Dialed { Origin::Dialed } else { Origin::Inbound };
    let key = *SecretKey::from_bytes(&[1; 32]).unwrap().public();
    Peer { conn: ConnId(0), key, origin, slot, since: Instant::START }
}

/// So many peers of nodes that play no part, in each kind of slot.
fn others(dialed: u8, inbound: u8, own_slots: u8) -> PeerSet {
    let mut peers = PeerSet::new(OWN);
    for (count, slot) in
        [(dialed, Slot::Dialed), (inbound, Slot::Inbound), (own_slots, Slot::Trusted)]
    {
        for i in 0..count {
            let mut id = [0x40; 32];
            id[1] = slot as u8;
            id[2] = i;
            peers.insert(NodeId(id), peer(slot));
        }
    }
    peers
}

/// What becomes of it under a policy that allows everybody.
fn ask(peers: &PeerSet, applicant: &Applicant, limits: &Limits) -> Result<Slot, DisconnectReason> {
    admit(Instant::START, &Policy::default(), peers, applicant, limits)
}

#[test]
fn whom_the_policy_forbids_passes_no_checkpoint_trusted_or_not() {
    use DisconnectReason::{Requested, UselessPeer};
    use Origin::{Dialed, Inbound};
    let policy = Policy::default().with_net_restrict(Some("192.0.2.0/24".parse().unwrap()));
    let (inside, outside) = (Some("192.0.2.1"), Some("192.0.3.1"));
    for (line, remote, origin, privileges, checkpoint, result) in [
        (line!(), inside, Inbound, ORDINARY, IDENTIFIED, Ok(Slot::Inbound)),
        (line!(), inside, Dialed, ORDINARY, READY, Ok(Slot::Dialed)),
        (line!(), outside, Inbound, ORDINARY, IDENTIFIED, Err(Requested)),
        (line!(), outside, Dialed, ORDINARY, READY, Err(Requested)),
        (line!(), outside, Dialed, STATIC, READY, Err(Requested)),
        (line!(), outside, Inbound, TRUSTED, IDENTIFIED, Err(Requested)),
        // It is asked first.
        (line!(), outside, Inbound, ORDINARY, USELESS, Err(Requested)),
        (line!(), inside, Inbound, ORDINARY, USELESS, Err(UselessPeer)),
        // A pipe is nowhere.
        (line!(), None, Inbound, ORDINARY, READY, Ok(Slot::Inbound)),
    ] {
        let remote = remote.map(|ip| ip.parse().unwrap());
        let applicant = Applicant { id: LOW, origin, remote, privileges, checkpoint };
        let answer =
            admit(Instant::START, &policy, &others(0, 0, 0), &applicant, &Limits::default());
        assert_eq!(answer, result, "row at line {line}");
    }
}

#[test]
fn admission_follows_its_truth_table() {
    use DisconnectReason::{ConnectedToSelf, TooManyPeers, UselessPeer};
    use Origin::{Dialed, Inbound};

    // Six ordinary slots: two to dial, four inbound.
    let limits = Limits { max_peers: 6, dial_ratio: 3, ..Limits::default() };
    let none = Limits { max_peers: 0, ..limits.clone() };
    let free = others(0, 0, 0);
    let inbound_full = others(1, 4, 0);
    let full = others(2, 4, 0);
    // Row C2: go-ethereum counts these, and would be full.
    let crowded_by_trusted = others(1, 3, 20);
    let over_the_cap = others(2, 6, 0);

    for (line, peers, limits, id, origin, privileges, checkpoint, result) in [
        // A free server takes anybody, in the slot of their origin.
        (line!(), &free, &limits, LOW, Inbound, ORDINARY, IDENTIFIED, Ok(Slot::Inbound)),
        (line!(), &free, &limits, LOW, Dialed, ORDINARY, IDENTIFIED, Ok(Slot::Dialed)),
        (line!(), &free, &limits, LOW, Inbound, ORDINARY, READY, Ok(Slot::Inbound)),
        // Slots of their own, whoever dialed; trust is the stronger statement.
        (line!(), &free, &limits, LOW, Inbound, STATIC, READY, Ok(Slot::Static)),
        (line!(), &free, &limits, LOW, Dialed, STATIC, READY, Ok(Slot::Static)),
        (line!(), &free, &limits, LOW, Inbound, TRUSTED, READY, Ok(Slot::Trusted)),
        (line!(), &free, &limits, LOW, Dialed, BOTH, READY, Ok(Slot::Trusted)),
        // Without a shared capability nobody is of use, trusted or not; and that is asked first.
        (line!(), &free, &limits, LOW, Inbound, ORDINARY, USELESS, Err(UselessPeer)),
        (line!(), &free, &limits, LOW, Inbound, TRUSTED, USELESS, Err(UselessPeer)),
        (line!(), &full, &limits, LOW, Inbound, ORDINARY, USELESS, Err(UselessPeer)),
        (line!(), &free, &limits, OWN, Inbound, ORDINARY, USELESS, Err(UselessPeer)),
        // A full server: row I6, checks 1 and 2, at both checkpoints.
        (line!(), &full, &limits, LOW, Inbound, ORDINARY, IDENTIFIED, Err(TooManyPeers)),
        (line!(), &full, &limits, LOW, Dialed, ORDINARY, IDENTIFIED, Err(TooManyPeers)),
        (line!(), &full, &limits, LOW, Inbound, ORDINARY, READY, Err(TooManyPeers)),
        (line!(), &over_the_cap, &limits, LOW, Dialed, ORDINARY, READY, Err(TooManyPeers)),
        // Inbound slots are full before all are; dialed ones are then still free.
        (line!(), &inbound_full, &limits, LOW, Inbound, ORDINARY, IDENTIFIED, Err(TooManyPeers)),
        (line!(), &inbound_full, &limits, LOW, Dialed, ORDINARY, IDENTIFIED, Ok(Slot::Dialed)),
        // Static and trusted nodes come in nevertheless (row T2: there a static node does not).
        (line!(), &full, &limits, LOW, Inbound, STATIC, IDENTIFIED, Ok(Slot::Static)),
        (line!(), &full, &limits, LOW, Dialed, STATIC, READY, Ok(Slot::Static)),
        (line!(), &full, &limits, LOW, Inbound, TRUSTED, READY, Ok(Slot::Trusted)),
        (line!(), &over_the_cap, &limits, LOW, Inbound, TRUSTED, READY, Ok(Slot::Trusted)),
        // And take nothing from ordinary ones (row C2).
        (line!(), &crowded_by_trusted, &limits, LOW, Inbound, ORDINARY, READY, Ok(Slot::Inbound)),
        (line!(), &crowded_by_trusted, &limits, LOW, Dialed, ORDINARY, READY, Ok(Slot::Dialed)),
        // No slots at all.
        (line!(), &free, &none, LOW, Inbound, ORDINARY, IDENTIFIED, Err(TooManyPeers)),
        (line!(), &free, &none, LOW, Dialed, ORDINARY, IDENTIFIED, Err(TooManyPeers)),
        (line!(), &free, &none, LOW, Inbound, TRUSTED, READY, Ok(Slot::Trusted)),
        // Ourselves; on a full server that is not what is said.
        (line!(), &free, &limits, OWN, Inbound, ORDINARY, IDENTIFIED, Err(ConnectedToSelf)),
        (line!(), &free, &limits, OWN, Dialed, TRUSTED, IDENTIFIED, Err(ConnectedToSelf)),
        (line!(), &full, &limits, OWN, Inbound, ORDINARY, IDENTIFIED, Err(TooManyPeers)),
    ] {
        let applicant = Applicant { id, origin, remote: None, privileges, checkpoint };
        assert_eq!(ask(peers, &applicant, limits), result, "row at line {line}");
    }
}

/// Found by the simulator: of twice as many dials, all that succeeded were let in.
#[test]
fn dials_that_are_too_many_do_not_take_the_slots_of_inbound_peers() {
    use DisconnectReason::TooManyPeers;
    let limits = Limits { max_peers: 6, dial_ratio: 3, ..Limits::default() };
    let dialed_full = others(2, 0, 0);
    let network = Some("192.0.2.1".parse().unwrap());
    for (line, remote, privileges, checkpoint, result) in [
        (line!(), network, ORDINARY, IDENTIFIED, Err(TooManyPeers)),
        (line!(), network, ORDINARY, READY, Err(TooManyPeers)),
        (line!(), network, STATIC, READY, Ok(Slot::Static)),
        (line!(), network, TRUSTED, READY, Ok(Slot::Trusted)),
        // A stream that the user brought.
        (line!(), None, ORDINARY, READY, Ok(Slot::Dialed)),
    ] {
        let applicant =
            Applicant { id: LOW, origin: Origin::Dialed, remote, privileges, checkpoint };
        assert_eq!(ask(&dialed_full, &applicant, &limits), result, "row at line {line}");
    }
}

#[test]
fn a_second_connection_follows_the_truth_table() {
    use DisconnectReason::{AlreadyConnected, TooManyPeers};
    use Origin::{Dialed, Inbound};

    // What is there: a connection past the first checkpoint, or a peer, and of which origin.
    #[derive(Clone, Copy, Debug)]
    enum There {
        Pending(Origin, Option<&'static str>),
        Peer(Slot, Origin),
    }
    const IN: There = There::Peer(Slot::Inbound, Inbound);
    const OUT: There = There::Peer(Slot::Dialed, Dialed);
    const STATIC_IN: There = There::Peer(Slot::Static, Inbound);
    const TRUSTED_IN: There = There::Peer(Slot::Trusted, Inbound);
    // The applicant's far end is at 192.0.2.1.
    const PENDING_IN: There = There::Pending(Inbound, Some("192.0.2.1"));
    const PENDING_OUT: There = There::Pending(Dialed, Some("::ffff:192.0.2.1"));
    const STRANGE_IN: There = There::Pending(Inbound, Some("192.0.2.2"));
    const STRANGE_OUT: There = There::Pending(Dialed, Some("192.0.2.2"));
    const PIPE_IN: There = There::Pending(Inbound, None);
    const TWICE: Result<Slot, DisconnectReason> = Err(AlreadyConnected);
    const FULL: Result<Slot, DisconnectReason> = Err(TooManyPeers);

    // line, whether the ordinary slots are taken, what is there, then the applicant and the result
    for (line, full, there, id, origin, privileges, checkpoint, result) in [
        // The same direction: the first one stays, trusted or not.
        (line!(), false, IN, LOW, Inbound, ORDINARY, IDENTIFIED, TWICE),
        (line!(), false, IN, LOW, Inbound, ORDINARY, READY, TWICE),
        (line!(), false, OUT, HIGH, Dialed, ORDINARY, READY, TWICE),
        (line!(), false, TRUSTED_IN, LOW, Inbound, TRUSTED, IDENTIFIED, TWICE),
        // On a full server, "full" is what is said, as in go-ethereum.
        (line!(), true, IN, LOW, Inbound, ORDINARY, IDENTIFIED, FULL),
        // While neither is a peer, two of one direction go on, and the first to be ready stays.
        (line!(), false, PENDING_IN, LOW, Inbound, ORDINARY, IDENTIFIED, Ok(Slot::Inbound)),
        // Opposite directions, the new one is not preferred: refused, at once.
        (line!(), false, OUT, HIGH, Inbound, ORDINARY, IDENTIFIED, TWICE),
        (line!(), false, IN, LOW, Dialed, ORDINARY, IDENTIFIED, TWICE),
        (line!(), false, PENDING_OUT, HIGH, Inbound, ORDINARY, IDENTIFIED, TWICE),
        (line!(), false, PENDING_IN, LOW, Dialed, TRUSTED, IDENTIFIED, TWICE),
        // Unless the one that is there may be a stranger's: then both go on, and the proof decides.
        (line!(), false, STRANGE_IN, LOW, Dialed, ORDINARY, IDENTIFIED, Ok(Slot::Dialed)),
        (line!(), false, STRANGE_IN, LOW, Dialed, STATIC, IDENTIFIED, Ok(Slot::Static)),
        (line!(), false, STRANGE_OUT, HIGH, Inbound, ORDINARY, IDENTIFIED, Ok(Slot::Inbound)),
        (line!(), false, PIPE_IN, LOW, Dialed, ORDINARY, IDENTIFIED, Ok(Slot::Dialed)),
        // At the second checkpoint only a peer is in its way: the preferred one may come to
        // nothing.
        (line!(), false, PENDING_OUT, HIGH, Inbound, ORDINARY, READY, Ok(Slot::Inbound)),
        (line!(), false, OUT, HIGH, Inbound, ORDINARY, READY, TWICE),
        // Opposite directions, the new one is preferred: let through beside the other ...
        (line!(), false, PENDING_IN, HIGH, Dialed, ORDINARY, IDENTIFIED, Ok(Slot::Dialed)),
        (line!(), false, PENDING_OUT, LOW, Inbound, ORDINARY, READY, Ok(Slot::Inbound)),
        // ... and heir to the place of the peer, free or not, of whatever kind.
        (line!(), true, IN, HIGH, Dialed, ORDINARY, IDENTIFIED, Ok(Slot::Inbound)),
        (line!(), true, IN, HIGH, Dialed, ORDINARY, READY, Ok(Slot::Inbound)),
        (line!(), true, OUT, LOW, Inbound, ORDINARY, READY, Ok(Slot::Dialed)),
        (line!(), true, TRUSTED_IN, HIGH, Dialed, TRUSTED, READY, Ok(Slot::Trusted)),
        (line!(), true, STATIC_IN, HIGH, Dialed, STATIC, READY, Ok(Slot::Static)),
        // Where it is no heir, a free place is needed.
        (line!(), true, PENDING_IN, HIGH, Dialed, ORDINARY, READY, FULL),
    ] {
        let mut peers = if full { others(2, 3, 0) } else { others(0, 0, 0) };
        match there {
            There::Pending(origin, remote) => {
                if full {
                    peers.insert(NodeId([0x41; 32]), peer(Slot::Inbound));
                }
                let remote = remote.map(|ip| ip.parse().unwrap());
                peers.insert_pending(id, ConnId(9), Pending { origin, remote });
            }
            There::Peer(slot, of) => {
                if full && !slot.is_ordinary() {
                    peers.insert(NodeId([0x41; 32]), peer(Slot::Inbound));
                }
                peers.insert(id, Peer { origin: of, ..peer(slot) });
            }
        }
        let limits = Limits { max_peers: 6, dial_ratio: 3, ..Limits::default() };
        let remote = Some("192.0.2.1".parse().unwrap());
        let applicant = Applicant { id, origin, remote, privileges, checkpoint };
        assert_eq!(ask(&peers, &applicant, &limits), result, "row at line {line}: {there:?}");
    }
}
