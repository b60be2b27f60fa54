//! What is done with arbitrary bytes: the body of a fuzz target, which is a property test too.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use peerage_node::{Crypto, Policy};

use crate::{
    Chat, Crash, Faults, HostId, LinkProfile, NatKind, NodeSpec, Place, Resolver, Settings, World,
};

/// A small world of three to six nodes, and what happens to it: no rule is broken, and everybody
/// stops in the end.
pub fn world(data: &[u8]) {
    let mut u = Unstructured::new(data);
    // A world that was described to its end is as good as one that was cut off.
    let _ = play(&mut u);
}

fn play(u: &mut Unstructured<'_>) -> Result<()> {
    const PLACES: [Place; 5] = [
        Place::Public,
        Place::Behind(NatKind::PortRestricted),
        Place::Subnet(1),
        Place::Behind(NatKind::Firewall),
        Place::DualStack,
    ];
    let [seed, count, link, shape]: [u8; 4] = u.arbitrary()?;
    let link = match link % 3 {
        0 => LinkProfile::default(),
        1 => LinkProfile::poor(),
        _ => LinkProfile::perfect(Duration::from_millis(20)),
    };
    let task_delay = Duration::from_millis(u64::from(shape % 64));
    let settings = Settings { link, task_delay, ..Settings::default() };
    let mut world = World::with_settings(u64::from(seed), settings);
    let mut hosts: Vec<HostId> = Vec::new();
    for n in 0..3 + usize::from(count % 4) {
        let place = PLACES[(n * usize::from(shape)) % PLACES.len()];
        let mut spec = NodeSpec::new(world.key_with(Crypto::StandIn));
        spec.knows_address = !matches!(place, Place::Behind(_));
        spec.limits.max_peers = 2 + n;
        spec.protocols = vec![Chat::every(Duration::from_secs(7), 100).into()];
        let known: Vec<_> = hosts.iter().take(1).map(|host| world.named(*host)).collect();
        if shape.is_multiple_of(3) {
            spec.static_nodes.clone_from(&known);
        }
        if let Some(discovery) = &mut spec.discovery {
            discovery.bootnodes = known;
        }
        hosts.push(world.add_node(place, spec));
    }
    let mut ended = Ok(());
    for _ in 0..24 {
        match act(u, &mut world, &hosts) {
            Ok(span) => world.run_for(span).unwrap_or_else(|broken| panic!("{broken}")),
            Err(end) => {
                ended = Err(end);
                break;
            }
        }
    }
    for host in &hosts {
        world.set_part(*host, 0);
        world.set_faults(*host, Faults::NONE);
        world.stop(*host);
    }
    // Whoever stands still cannot stop before it goes on.
    world.run_for(Duration::from_secs(150)).unwrap_or_else(|broken| panic!("{broken}"));
    let up: Vec<_> = hosts.iter().filter(|host| world.is_up(**host)).collect();
    assert!(up.is_empty(), "{up:?} have not stopped");
    ended
}

/// Something happens; for how long the world then goes on.
fn act(u: &mut Unstructured<'_>, world: &mut World, hosts: &[HostId]) -> Result<Duration> {
    let [what, who, how, span]: [u8; 4] = u.arbitrary()?;
    let host = hosts[usize::from(who) % hosts.len()];
    match what % 20 {
        0..7 => world.start(host),
        7 => world.stop(host),
        8 => world.crash(host, Crash::Process),
        9 => world.crash(host, Crash::Power),
        10 => world.suspend(host, Duration::from_secs(u64::from(how % 100))),
        11 => world.jump_clock(host, i64::from(how) * 100 - 12_800),
        12 => world.set_part(host, u32::from(how % 2)),
        13 => world.lose_database(host),
        14 => {
            let other = world.named(hosts[usize::from(how) % hosts.len()]);
            world.add_static(host, other);
        }
        15 => {
            let faults = Faults {
                descriptors: (how % 3 == 0).then_some(usize::from(how % 7)),
                no_buffers: u32::from(how % 5) * 100_000,
                is_unreachable: how > 250,
            };
            world.set_faults(host, faults);
        }
        16 => world.set_resolver([Resolver::GOOD, Resolver::DEAD][usize::from(how % 2)]),
        17 => {
            let other = hosts[usize::from(how) % hosts.len()];
            let (key, name) = (*world.named(other).public_key(), format!("n{how}.example"));
            world.add_name(name.clone(), other);
            let url = format!("enode://{key}@{name}:30303");
            world.add_static(host, url.parse().expect("because a name may stand there"));
        }
        18 => {
            // Everybody, nobody, or some.
            let networks = [None, Some("10.0.0.0/8"), Some("0.0.0.0/1")][usize::from(how % 3)];
            let list = networks.map(|it| it.parse().expect("because it is a list of networks"));
            world.set_policy(host, Policy::default().with_net_restrict(list));
        }
        _ => {
            let other = world.named(hosts[usize::from(how) % hosts.len()]);
            world.disconnect(host, other.id());
        }
    }
    Ok(Duration::from_millis(u64::from(span) * 200))
}

#[cfg(test)]
mod tests {
    use peerage_machine::fuzzing::replay;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(any::<u8>(), 0..110)) {
            world(&data);
        }
    }

    #[test]
    fn what_was_found_or_is_known_is_survived() {
        replay(env!("CARGO_MANIFEST_DIR"), &[("world", world)]);
    }
}
