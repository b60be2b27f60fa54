//! A protocol of your own on simulated nodes: a word that each tells to all others that it knows.

use std::time::Duration;

use peerage_sim::{NodeSpec, Peer, Place, Protocol, ProtocolIo, ProtocolSpec, Violation, World};

#[derive(Debug, Default)]
struct Rumour {
    has_heard: bool,
}

impl Protocol for Rumour {
    fn on_message(&mut self, io: &mut ProtocolIo<'_, '_>, from: Peer, _: u64, word: &[u8]) {
        if !std::mem::replace(&mut self.has_heard, true) {
            for peer in io.peers().into_iter().filter(|peer| *peer != from) {
                io.send(peer, 0, word).ok();
            }
        }
    }
}

fn main() -> Result<(), Violation> {
    let mut world = World::new(1);
    // A line: each node is connected to the one before.
    let mut hosts = Vec::new();
    for _ in 0..10 {
        let mut spec = NodeSpec::new(world.key());
        spec.discovery = None;
        spec.protocols = vec![ProtocolSpec::new("rumour", 1, 1, Rumour::default)];
        spec.static_nodes.extend(hosts.last().map(|host| world.named(*host)));
        hosts.push(world.add_node(Place::Public, spec));
    }
    hosts.iter().for_each(|host| world.start(*host));
    world.run_for(Duration::from_secs(60))?;
    world.speak(hosts[0], |rumour: &mut Rumour, io| {
        rumour.has_heard = true;
        io.peers().into_iter().for_each(|peer| io.send(peer, 0, b"psst").unwrap_or_default());
    });
    world.run_for(Duration::from_secs(2))?;
    let heard = |host| world.node(host)?.protocol::<Rumour>().map(|it| it.has_heard);
    println!("{} of 10 have heard it", hosts.iter().filter(|it| heard(**it) == Some(true)).count());
    Ok(())
}
