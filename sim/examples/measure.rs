//! A measure of your own, sampled beside the built-in ones in a scenario of the library.

use std::{error::Error, time::Duration};

use peerage_sim::scenario::{Run, Scenario};

fn main() -> Result<(), Box<dyn Error>> {
    let scenario = Scenario::find("bootstrap").ok_or("no such scenario")?;
    let mut options = scenario.options(1);
    (options.nodes, options.span, options.stand_in) = (50, Duration::from_secs(120), true);
    let mut run = Run::new(scenario, options)?;
    run.measure_by("connections of the busiest node", |world| {
        let seen = world.hosts().filter_map(|host| Some(world.node(host)?.seen().connections));
        seen.max().unwrap_or(0)
    });
    let outcome = run.complete()?;
    for series in &outcome.series {
        println!("{}: {:?}", series.label, series.values);
    }
    Ok(())
}
