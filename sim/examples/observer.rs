//! An observer of your own: it sees a world from outside, as the ledger of rules does.

use std::time::Duration;

use peerage_machine::Instant;
use peerage_sim::{Fact, HostId, NodeFact, NodeSpec, Observer, Place, Verdict, Violation, World};

#[derive(Debug, Default)]
struct Traffic {
    bytes: usize,
    peers: usize,
}

impl Observer for Traffic {
    fn on_fact(&mut self, verdict: &mut Verdict, at: Instant, host: HostId, fact: &Fact<'_>) {
        match fact {
            Fact::Sent { bytes, .. } => self.bytes += bytes.len(),
            fact => {
                self.peers += usize::from(matches!(fact.reported(), Some(NodeFact::Added { .. })));
            }
        }
        if self.bytes > 100_000 {
            verdict.break_rule(at, host, || "that is much for two nodes".into());
        }
    }
}

fn main() -> Result<(), Violation> {
    let mut world = World::new(1);
    world.add_observer(Box::new(Traffic::default()));
    let spec = NodeSpec::new(world.key());
    let first = world.add_node(Place::Public, spec);
    let mut spec = NodeSpec::new(world.key());
    let boot = world.named(first);
    spec.discovery.get_or_insert_default().bootnodes.push(boot);
    let second = world.add_node(Place::Public, spec);
    world.start(first);
    world.start(second);
    world.run_for(Duration::from_secs(60))?;
    println!("{:?}", world.observer::<Traffic>());
    Ok(())
}
