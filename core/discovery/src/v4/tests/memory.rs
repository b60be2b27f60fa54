//! What others make a machine hold. That it stays below its bound is checked after each event of
//! every test.

use super::*;

/// A forged address, different for each `n`.
fn forged(n: u32) -> SocketAddr {
    SocketAddr::from(((0x5000_0000 + n * 263).to_be_bytes(), 9999))
}

#[test]
fn memory_grows_with_strangers_that_prove_themselves() {
    let at = public(1);
    let mut net = Net::new();
    net.start(1, at, Vec::new());
    let before = net.machine(at).memory();
    for n in 0..300 {
        Tester::new(100 + n, forged(n)).bond(&mut net, at);
    }
    net.run(seconds(2));
    // Each is kept as a proof, with its node.
    let nodes = net.v4(at).table().len();
    assert!(nodes > 50, "{nodes}");
    assert!(net.machine(at).memory() > before + nodes * Node::MAX_HEAP + 300 * size_of::<NodeId>());
}

#[test]
fn memory_is_bounded_by_the_settings() {
    let bound = |config: &Config| crate::Endpoint::memory_bound(config, 0, 0);
    let config = Config { v5: None, ..Config::default() };
    let mut small = config.clone();
    small.limiter.addresses = 16;
    assert!(bound(&small) < bound(&config));
    small.table.bucket_size = 1;
    assert!(bound(&small) + 100_000 < bound(&config));
    assert!(bound(&config) < 32 << 20, "{}", bound(&config));
}
