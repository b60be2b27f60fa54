//! `peerage devnet`.

mod common;

use common::{json_lines, run, stdout};

#[test]
fn three_nodes_that_know_a_boot_node_alone_mesh_and_every_message_comes_through() {
    let events =
        json_lines(["devnet", "--nodes", "3", "--messages", "20", "--size", "100", "--json"]);
    let summary = events.last().unwrap();
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["peers"], serde_json::json!([2, 2, 2]));
    assert_eq!(summary["connections"], 3);
    assert_eq!(summary["messages"], 3 * 2 * 20);
    assert_eq!(summary["bytes"], 3 * 2 * 20 * 100);
    let count = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((count("boot_node"), count("node")), (1, 3));
    assert_eq!((count("found"), count("mesh")), (1, 1));
    assert!(summary["found_ms"].as_u64() <= summary["mesh_ms"].as_u64());
    assert!(count("peer_added") >= 6);
}

#[test]
fn without_a_terminal_there_are_plain_lines_and_a_summary() {
    let text = stdout(["devnet", "--nodes", "2", "--messages", "3"]);
    assert!(text.contains("all had found each other after "), "{text}");
    assert!(text.contains("full mesh after "), "{text}");
    assert!(text.contains("time to find all   "), "{text}");
    assert!(text.contains("peers per node     1 1\n"), "{text}");
    assert!(text.contains("messages           6\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_devnet_that_is_not_done_in_time_says_what_is_missing_and_fails() {
    let output = run(["devnet", "--nodes", "2", "--messages", "1000000000", "--timeout", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("0 of 2 exchanges done; node 0 "), "{error}");
}

#[test]
fn too_few_open_files_are_noticed_before_anything_starts() {
    let shell = "ulimit -n 100 && exec \"$0\" devnet --nodes 8";
    let output = std::process::Command::new("sh")
        .args(["-c", shell, env!("CARGO_BIN_EXE_peerage")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains(
            "8 nodes have up to 161 files open, and the limit is 100: run `ulimit -n 161`"
        ),
        "{error}"
    );
}
