//! Machines with stand-in keys: the same discovery, and nothing that one with a real key believes.

use super::*;
use crate::v4::DropReason;

fn stand_in(n: u32) -> SecretKey {
    SecretKey::stand_in_from_bytes(&secret(n).to_bytes()).unwrap()
}

/// Starts a machine like [`Net::start`] does, with this key.
fn start(net: &mut Net, key: &SecretKey, addr: SocketAddr, bootnodes: Vec<Node>) {
    let config = Config { bootnodes, ..Config::default() };
    net.start_with(addr, about(key.clone(), addr), config);
}

#[test]
fn stand_ins_prove_themselves_and_fetch_each_others_records() {
    let mut net = Net::new();
    let (a, b) = (public(1), public(2));
    start(&mut net, &stand_in(2), b, Vec::new());
    start(&mut net, &stand_in(1), a, vec![node(2, b)]);
    net.run(seconds(10));
    for (at, other, other_at) in [(a, 2, b), (b, 1, a)] {
        let entry = net.v4(at).table().get(&id(other)).unwrap();
        assert!(entry.is_live());
        assert_eq!(entry.node().record(), Some(net.record(other_at)));
        assert_eq!(net.v4(at).stats().dropped(DropReason::Signature), 0);
    }
}

#[test]
fn a_real_machine_believes_no_stand_in_and_the_other_way_round() {
    for (ours, theirs) in [(secret(1), stand_in(2)), (stand_in(1), secret(2))] {
        let mut net = Net::new();
        let (a, b) = (public(1), public(2));
        start(&mut net, &ours, a, Vec::new());
        start(&mut net, &theirs, b, vec![node(1, a)]);
        net.run(seconds(10));
        assert!(net.v4(a).stats().dropped(DropReason::Signature) > 0);
        assert_eq!((net.v4(a).table().len(), net.v4(a).proved()), (0, 0));
    }
}
