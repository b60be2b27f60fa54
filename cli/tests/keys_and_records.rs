//! `peerage key` and `peerage enr`.

mod common;

use std::{fs, os::unix::fs::PermissionsExt};

use common::{json_lines, run, stdout};

#[test]
fn a_key_file_is_private_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("new/folder/nodekey");
    let path = file.to_str().unwrap();
    let made = stdout(["key", "generate", path]);
    let key = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(stdout(["key", "show", path]), made);
    assert!(!made.contains(key.trim()), "the secret was shown");

    assert_eq!(run(["key", "generate", path]).status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).unwrap(), key);
}

#[test]
fn the_enode_url_of_a_key_has_the_endpoint_that_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("nodekey");
    let path = file.to_str().unwrap();
    stdout(["key", "generate", path]);
    let enode = |args: &[&str]| {
        let all = ["key", "show", path, "--json"].into_iter().chain(args.iter().copied());
        json_lines(all)[0]["enode"].as_str().unwrap().to_owned()
    };
    assert_eq!(enode(&[]).len(), "enode://".len() + 128);
    assert!(enode(&["--ip", "203.0.113.7"]).ends_with("@203.0.113.7:30303"));
    assert!(
        enode(&["--ip", "2001:db8::1", "--tcp", "1", "--udp", "2"])
            .ends_with("@[2001:db8::1]:1?discport=2")
    );
}

#[test]
fn a_record_is_decoded_as_it_was_encoded() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("nodekey");
    let path = file.to_str().unwrap();
    let key = &json_lines(["key", "generate", path, "--json"])[0];
    let record = stdout([
        "enr",
        "encode",
        "--key-file",
        path,
        "--seq",
        "7",
        "--ip",
        "203.0.113.7",
        "--ip",
        "2001:db8::1",
        "--tcp",
        "30303",
        "--udp",
        "30304",
        "--tcp6",
        "30305",
        "--attribute",
        "demo=0xc20102",
        "--attribute",
        "name=me",
    ]);
    let decoded = &json_lines(["enr", "decode", "--json", record.trim()])[0];
    assert_eq!(decoded["id"], key["id"]);
    assert_eq!(decoded["public_key"], key["public_key"]);
    assert_eq!(decoded["seq"], 7);
    assert_eq!(decoded["signature_valid"], true);
    assert_eq!(decoded["tcp"], serde_json::json!(["203.0.113.7:30303", "[2001:db8::1]:30305"]));
    assert_eq!(decoded["udp"], serde_json::json!(["203.0.113.7:30304", "[2001:db8::1]:30304"]));
    assert_eq!(decoded["entries"]["demo"]["value"], serde_json::json!(["0x01", "0x02"]));
    assert_eq!(decoded["entries"]["name"]["rlp"], "0x826d65");
    let text = stdout(["enr", "decode", record.trim()]);
    assert!(text.contains("\n  name       \"me\"\n"), "{text}");
}

/// The record of EIP-778 itself.
#[test]
fn the_record_of_the_specification_is_decoded() {
    let record = "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZu\
                  Oh8R33Ls8RRcy5wBgmlkgnY0gmlwhH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzB\
                  QA8yWM0xOIN1ZHCCdl8";
    let decoded = &json_lines(["enr", "decode", "--json", record])[0];
    assert_eq!(decoded["id"], "a448f24c6d18e575453db13171562b71999873db5b286df957af199ec94617f7");
    assert_eq!(decoded["udp"], serde_json::json!(["127.0.0.1:30303"]));
    assert_eq!(decoded["tcp"], serde_json::json!([]));
    assert_eq!(decoded["seq"], 1);

    // One bit of the signature.
    let forged = record.replacen("QHCY", "QHCZ", 1);
    let output = run(["enr", "decode", &forged]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("signature is not valid"));
}
