//! What the README tells to try works as it stands there.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::command;

#[test]
fn the_commands_of_the_readme_that_end_by_themselves_succeed() {
    let dir = tempfile::tempdir().unwrap();
    let (_, block) = include_str!("../README.md").split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    for line in block.lines() {
        let (words, _why) = line.split_once('#').unwrap();
        let mut words = words.split_whitespace();
        assert_eq!(words.next(), Some("peerage"));
        let output = command(words).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
