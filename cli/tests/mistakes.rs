//! A user's mistakes: each gets a sentence that helps, on standard error, and its exit code.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::{
    fs,
    net::{TcpListener, UdpSocket},
};

use common::run;

const ENODE: &str = "enode://ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f\
                     301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f@127.0.0.1:30303";

/// What is typed, word by word; the exit code; what the sentence says.
#[test]
fn every_mistake_gets_its_exit_code_and_a_sentence_that_helps() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (key, open, text, toml) = (path("key"), path("open"), path("text"), path("run.toml"));
    assert!(run(["key", "generate", &key]).status.success());
    assert!(run(["key", "generate", &open]).status.success());
    make_readable(&open);
    assert!(run(["key", "generate", &text]).status.success());
    fs::write(&text, "no key at all\n").unwrap();
    let config = |content: &str| fs::write(&toml, content).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_address = taken.local_addr().unwrap().to_string();
    let data = path("data");
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp_address = udp.local_addr().unwrap().to_string();
    // A socket that never answers.
    let silent = format!("{}@{udp_address}", ENODE.split('@').next().unwrap());
    let cut = &ENODE[..60];
    let two = format!("{ENODE},{cut}");

    #[rustfmt::skip]
    let rows: &[(&[&str], i32, &str)] = &[
        // Words that clap knows.
        (&[], 2, "Usage: peerage <COMMAND>"),
        (&["fly"], 2, "unrecognized subcommand 'fly'"),
        (&["run", "--max-peer", "5"], 2, "a similar argument exists: '--max-peers'"),
        (&["devnet", "--nodes", "1"], 2, "1 is not in 2..=100"),
        (&["devnet", "--size", "7"], 2, "7 is not in 8..=8388608"),
        (&["run", "--dial-ratio", "0"], 2, "0 is not in 1.."),
        // Values of ours.
        (&["run", "--listen", "localhost"], 2, "say where to listen as IP:PORT"),
        (&["run", "--static", cut], 2, "the public key has 52 hexadecimal digits; it must have 128"),
        (&["run", "--trusted", "bob"], 2, "an enode URL, a node record or an id of 64 digits"),
        (&["run", "--net-restrict", "10.0.0.0/33"], 2, "a number from 0 to 32"),
        (&["run", "--net-restrict", ""], 2, "name at least one network"),
        (&["run", "--bootnodes", cut], 2, "the public key has 52 hexadecimal digits; it must have 128"),
        (&["run", "--bootnodes", &two], 2, "the public key has 52 hexadecimal digits; it must have 128"),
        (&["run", "--discovery-listen", "none"], 2, "say where discovery listens as IP:PORT"),
        (&["run", "--bootnode", ENODE], 2, "boot nodes are named with --bootnodes NODE"),
        (&["run", "--bootnode", "--discovery", "none"], 2, "leave out discovery none, or bootnode"),
        (&["run", "--bootnode", "--static", ENODE], 2, "leave out static, or bootnode"),
        (&["run", "--bootnode", "--echo", "demo/1/4"], 2, "leave out echo, or bootnode"),
        (&["run", "--bootnode", "--listen", "none"], 2, "name one with listen or discovery-listen"),
        (&["lookup"], 2, "--bootnodes <NODE>"),
        (&["lookup", "bob", "--bootnodes", ENODE], 2, "\"bob\" is none of them"),
        (&["ping", "--v4", ENODE, "--cap", "eth/68"], 2, "cannot be used with"),
        (&["run", "--echo", "demo"], 2, "NAME/VERSION/LENGTH, such as demo/1/4"),
        (&["run", "--log", "a=b=c"], 2, "a log filter is off, error"),
        (&["ping", "10.0.0.1:30303"], 2, "an enr: record, an enode:// URL"),
        (&["ping", ENODE, "--cap", "eth"], 2, "a capability is NAME/VERSION, such as eth/68"),
        (&["enr", "encode", "--key-file", &key, "--attribute", "eth"], 2, "an attribute is KEY=VALUE"),
        (&["enr", "encode", "--key-file", &key, "--tcp", "0"], 2, "0 is not in 1..=65535"),
        // Keys.
        (&["key", "generate", &key], 1, "exists already and is never overwritten"),
        (&["key", "show", &path("none")], 1, "make one with `peerage key generate"),
        (&["key", "show", &open], 1, "run `chmod 600"),
        (&["key", "show", &text], 1, "holds no key (a key is 64 hexadecimal digits"),
        (&["run", "--key-file", &open, "--listen", "none"], 1, "run `chmod 600"),
        (&["run", "--listen", "none"], 2, "there is no home directory to keep the node's key in; pass --data-dir"),
        // Records.
        (&["enr", "decode", "enode://"], 1, "begins with enr:"),
        (&["enr", "decode", "enr:!"], 1, "not URL-safe base64"),
        (&["enr", "encode", "--key-file", &key, "--attribute", "ip=x"], 1, "choose another name"),
        (&["enr", "encode", "--key-file", &key, "--ip", "::1", "--ip", "::2"], 1, "one address of each family"),
        // The world.
        (&["run", "--data-dir", &data, "--listen", &taken_address], 1, "is in use: stop the program"),
        (&["run", "--data-dir", &data, "--listen", "none", "--echo", "a/1/1", "--echo", "a/1/1"], 1, "a/1 is there twice"),
        (&["run", "--data-dir", &data, "--listen", "127.0.0.1:0", "--discovery-listen", &udp_address], 1, "UDP port"),
        (&["ping", "--v4", ENODE.split('@').next().unwrap()], 1, "the node has no UDP endpoint"),
        (&["ping", "--v4", &silent], 1, "cannot ping by discovery: no answer in time"),
        (&["lookup", "--bootnodes", &silent], 1, "the boot node does not answer; see that it runs"),
        (&["run", "--config", &path("none.toml")], 2, "cannot read the settings in"),
        (&["ping", cut], 2, "the public key has 52 hexadecimal digits"),
        (&["ping", ENODE.split('@').next().unwrap()], 1, "name it with HOST:PORT"),
    ];
    for (args, code, sentence) in rows {
        assert_fails(args, *code, sentence);
    }

    // Content of a settings file; what the sentence says.
    #[rustfmt::skip]
    let files = [
        ("max-peer = 5\n", "line 1: unknown field `max-peer`, expected one of"),
        ("name = \"a\"\nmax-peers = \"many\"\n", "line 2: invalid type: string \"many\""),
        ("echo = [\"demo\"]\n", "line 1: an echo capability is NAME/VERSION/LENGTH"),
        ("static = [\"me\"]\n", "line 1: a node is named by"),
        ("listen = \n", "line 1: "),
        ("dial-ratio = 0\n", "at least 1"),
        ("bootnodes = [\"me\"]\n", "line 1: a node is named by"),
        ("bootnode = \"me\"\n", "line 1: invalid type"),
        ("discovery-listen = \"none\"\n", "line 1: say where discovery listens"),
        ("bootnode = true\ndiscovery = \"none\"\n", "leave out discovery none, or bootnode"),
    ];
    for (content, sentence) in files {
        config(content);
        assert_fails(&["run", "--config", &toml], 2, sentence);
    }
}

fn assert_fails(args: &[&str], code: i32, sentence: &str) {
    let output = run(args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
    assert!(error.contains(sentence), "{args:?}: {error}");
    assert!(output.stdout.is_empty(), "{args:?} prints to standard output");
}

fn make_readable(path: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}
