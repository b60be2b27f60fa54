//! `peerage sim`: the real binary, over small worlds.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{json_lines, run, stdout};
use peerage_sim::{adversary::AdversaryKind, scenario::Scenario};

/// A world that takes a fraction of a second.
const TINY: [&str; 6] = ["sim", "bootstrap", "--nodes", "10", "--minutes", "1"];

/// A sample at each hundredth of the span, and one at its beginning.
const SAMPLES: usize = 101;

fn tiny<'a>(more: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    TINY.into_iter().chain(more.iter().copied())
}

fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim()
}

/// A trace of the tiny world in `dir`.
fn trace(dir: &Path, name: &str, seed: &str) -> PathBuf {
    let path = dir.join(name);
    stdout(tiny(&["--seed", seed, "--trace", path.to_str().unwrap()]));
    path
}

fn words<'a>(command: &'a str, paths: &'a [&Path]) -> Vec<&'a str> {
    ["sim", command].into_iter().chain(paths.iter().map(|it| it.to_str().unwrap())).collect()
}

#[test]
fn every_scenario_and_adversary_is_explained() {
    let text = stdout(["sim", "list"]);
    let all: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let scenarios = Scenario::all().iter().map(|it| (it.name, it.about));
    for (name, about) in scenarios.chain(AdversaryKind::ALL.map(|it| (it.name(), it.about()))) {
        assert!(all.contains(name), "{name}");
        assert!(all.contains(&about.split_whitespace().collect::<Vec<_>>().join(" ")), "{name}");
    }
}

#[test]
fn a_seed_gives_one_run_and_another_seed_another_one() {
    let one = stdout(tiny(&["--seed", "1"]));
    let hash = value(&one, "hash of the trace");
    assert_eq!(value(&one, "nodes up"), "10");
    assert_eq!(hash.len(), 64);
    assert_eq!(value(&stdout(tiny(&["--seed", "1"])), "hash of the trace"), hash);
    assert_ne!(value(&stdout(tiny(&["--seed", "2"])), "hash of the trace"), hash);
}

#[test]
fn a_run_is_repeated_by_the_command_that_it_prints() {
    // A span that is no whole number of seconds, a seed that nobody chose, and all the rest.
    let words = ["sim", "churn", "--nodes", "10", "--minutes", "1.0083", "--crypto", "real"];
    let one = stdout(words.into_iter().chain(["--adversary", "silent=12.5%"]));
    let again: Vec<&str> = value(&one, "again").split(' ').collect();
    assert_eq!(again[0], "peerage");
    let other = stdout(&again[1..]);
    assert_eq!(value(&one, "hash of the trace"), value(&other, "hash of the trace"));
}

#[test]
fn what_repeats_a_run_is_printed_before_it_begins() {
    let text = stdout(tiny(&["--seed", "5"]));
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("again") && first.contains("--seed 5"), "{text}");
    let started = &json_lines(tiny(&["--seed", "5", "--json"]))[0];
    assert_eq!((&started["event"], &started["seed"]), (&"started".into(), &5.into()));
    assert!(started["command"].as_str().unwrap().contains("--seed 5"));
}

#[test]
fn json_csv_and_the_table_tell_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let lines = json_lines(tiny(&["--seed", "3", "--json", "--csv", path.to_str().unwrap()]));
    let samples: Vec<_> = lines.iter().filter(|line| line["event"] == "sample").collect();
    assert_eq!(samples.len(), SAMPLES);
    let csv = fs::read_to_string(path).unwrap();
    let mut rows = csv.lines();
    let header: Vec<&str> = rows.next().unwrap().split(',').collect();
    assert_eq!(rows.clone().count(), SAMPLES);
    for (row, sample) in rows.zip(&samples) {
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells.len(), header.len());
        for (name, cell) in header.iter().zip(cells) {
            assert_eq!(cell, sample[*name].to_string(), "{name}");
        }
    }
    let result = lines.last().unwrap();
    assert_eq!(result["event"], "result");
    assert_eq!(samples[SAMPLES - 1]["nodes"], 10);
    let text = stdout(tiny(&["--seed", "3"]));
    assert_eq!(result["hash"], value(&text, "hash of the trace"));
    for row in result["rows"].as_array().unwrap() {
        assert_eq!(value(&text, row["label"].as_str().unwrap()), row["value"]);
    }
}

#[test]
fn the_picture_has_its_panels_and_that_of_the_adversary_if_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let draw = |name: &str, more: &[&str]| {
        let path = dir.path().join(name);
        let flags = [&["--seed", "9", "--plot", path.to_str().unwrap()], more].concat();
        stdout(tiny(&flags));
        let svg = fs::read_to_string(path).unwrap();
        assert_well_formed(&svg);
        for title in ["10 nodes, seed 9", "Nodes known", "Peers of a node", "at the end"] {
            assert!(svg.contains(title), "{title}");
        }
        svg.contains("Held by the adversary")
    };
    assert!(!draw("a.svg", &[]));
    assert!(draw("b.svg", &["--adversary", "eclipse=20%"]));
}

/// Every tag that opens closes, in order, and text has no stray brackets.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'));
        let end = at + rest[at..].find('>').expect("a tag has an end");
        let tag = &rest[at + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') || tag.starts_with(['?', '!']) => {}
            None => open.push(tag.split_whitespace().next().unwrap()),
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && svg.starts_with("<svg"), "{open:?}");
}

#[test]
fn a_trace_is_replayed_and_says_that_it_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = trace(dir.path(), "a", "4");
    let text = fs::read_to_string(&path).unwrap();
    let last = text.lines().last().unwrap();
    // The header and the last line are no events.
    assert!(last.ends_with(&format!(" of {} events", text.lines().count() - 2)), "{last}");
    for paths in [words("replay", &[&path]), words("diff", &[&path, &path])] {
        assert!(stdout(&paths).contains("the same"), "{paths:?}");
    }
    assert!(stdout(words("replay", &[&path])).contains(last));
}

#[test]
fn the_first_line_that_differs_is_shown_with_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = trace(dir.path(), "a", "4");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let (before, true_line) = (lines[98], lines[99]);
    let false_line = format!("{true_line}!");
    lines[99] = &false_line;
    let changed = dir.path().join("b");
    fs::write(&changed, lines.join("\n") + "\n").unwrap();
    for paths in [words("replay", &[&changed]), words("diff", &[&changed, &path])] {
        let output = run(&paths);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        for part in
            ["at line 100:", before, &format!("- {false_line}\n"), &format!("+ {true_line}\n")]
        {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }
}

#[test]
fn traces_of_two_seeds_differ_and_both_commands_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (trace(dir.path(), "a", "4"), trace(dir.path(), "b", "5"));
    let output = run(words("diff", &[&one, &other]));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("--seed 4 ") && text.contains("--seed 5 "), "{text}");
}

#[test]
fn a_trace_that_is_cut_short_is_not_the_same_as_anything() {
    let dir = tempfile::tempdir().unwrap();
    let path = trace(dir.path(), "a", "4");
    let text = fs::read_to_string(&path).unwrap();
    let whole = text.match_indices('\n').nth(49).unwrap().0 + 1;
    let cut = dir.path().join("cut");
    for size in [whole, whole + 5] {
        fs::write(&cut, &text[..size]).unwrap();
        for paths in [words("replay", &[&cut]), words("diff", &[&cut, &cut])] {
            let output = run(&paths);
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{paths:?}: {error}");
            assert!(error.contains("cut short: it ends after line 50"), "{error}");
        }
    }
}

#[test]
fn a_broken_rule_ends_the_run_is_named_and_happens_again() {
    // No two ends see a connection at the same millisecond.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let strict = ["--seed", "7", "--agree-within", "0.001"];
    let output = run(tiny(&[&strict[..], &["--trace", path.to_str().unwrap()]].concat()));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    let (what, again) = error.split_once("\nagain: ").unwrap();
    assert!(what.starts_with("error: at ") && what.contains("broke a rule"), "{error}");
    let again: Vec<&str> = again.trim().split(' ').skip(1).collect();
    assert!(again.contains(&"--agree-within"), "{again:?}");
    let output = run(&again);
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(1), error));
    // Up to there, the trace is one as any other.
    assert!(stdout(words("replay", &[&path])).contains("the same"));

    let output = run(tiny(&[&strict[..], &["--json"]].concat()));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "violation");
    assert!(last["what"].as_str().unwrap().contains("has had host"), "{last}");
}

/// What is typed after `sim`, the exit code, and what the sentence says.
#[test]
fn every_mistake_gets_its_exit_code_and_a_sentence_that_helps() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = dir.path().join("foreign");
    fs::write(&foreign, vec![b'a'; 3 << 20]).unwrap();
    let foreign = foreign.to_str().unwrap();
    #[rustfmt::skip]
    let rows: &[(&[&str], i32, &str)] = &[
        (&[], 2, "<SCENARIO>"),
        (&["bootstap"], 2, "there is no scenario \"bootstap\"; there are bootstrap, churn"),
        (&["bootstrap", "--nodes", "0"], 2, "needs at least 5 nodes"),
        (&["bootstrap", "--nodes", "99999999"], 2, "at most 60000 nodes"),
        (&["bootstrap", "--hours", "0"], 2, "a number above 0"),
        (&["bootstrap", "--hours", "-1"], 2, "a number above 0"),
        (&["bootstrap", "--minutes", "nan"], 2, "a number above 0"),
        (&["bootstrap", "--minutes", "0.1"], 2, "at least ten seconds"),
        (&["bootstrap", "--hours", "1e30"], 2, "at most a year"),
        (&["bootstrap", "--hours", "1", "--minutes", "1"], 2, "cannot be used with"),
        (&["bootstrap", "--agree-within", "0"], 2, "a number above 0"),
        (&["bootstrap", "--adversary", "nobody=1%"], 2, "no adversary \"nobody\"; there are eclipse"),
        (&["bootstrap", "--adversary", "eclipse"], 2, "KIND=SHARE"),
        (&["bootstrap", "--adversary", "eclipse=1.5"], 2, "at most 1"),
        // Before the run, which would take minutes.
        (&["discovery", "--trace", "/no/folder"], 2, "cannot write /no/folder"),
        (&["discovery", "--csv", "/no/folder"], 2, "cannot write /no/folder"),
        (&["discovery", "--plot", "/no/folder"], 2, "cannot write /no/folder"),
        (&["replay", "/no/folder"], 2, "cannot read /no/folder"),
        (&["replay", foreign], 2, "is no trace"),
        (&["diff", foreign, foreign], 2, "is no trace"),
    ];
    for (words, code, sentence) in rows {
        let output = run(["sim"].iter().chain(*words));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(*code), "{words:?}: {error}");
        assert!(error.contains(sentence), "{words:?}: {error}");
        assert!(output.stdout.is_empty(), "{words:?} prints to standard output");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_in_a_sentence() {
    for flag in ["--trace", "--csv", "--plot"] {
        let output = run(tiny(&[flag, "/dev/full"]));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{flag}: {error}");
        assert!(error.starts_with("error: cannot write /dev/full: No space left"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
