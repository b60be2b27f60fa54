//! What can be simulated.

use peerage_sim::{adversary::AdversaryKind, scenario::Scenario};

use crate::{failure::Failure, output};

/// Where a line of text is broken.
const WIDTH: usize = 96;

pub(super) fn run() -> Result<(), Failure> {
    let mut text = String::from("Scenarios\n");
    for scenario in Scenario::all() {
        let crypto = if scenario.stand_in { "stand-in" } else { "real" };
        let minutes = scenario.span.as_secs() / 60;
        text += &format!(
            "  {}: {} nodes, {minutes} minutes, {crypto} cryptography\n{}",
            scenario.name,
            scenario.nodes,
            indented(scenario.about)
        );
    }
    text += "\nAdversaries (--adversary KIND=SHARE)\n";
    for kind in AdversaryKind::ALL {
        text += &format!("  {}\n{}", kind.name(), indented(kind.about()));
    }
    output::text(&text)?;
    Ok(())
}

fn indented(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + word.len() >= WIDTH {
            lines += &format!("      {line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines + &format!("      {line}\n")
}
