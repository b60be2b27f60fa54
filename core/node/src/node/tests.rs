use proptest::prelude::*;

use super::*;
use crate::{LocalRecord, SecretKey};

/// The key of go-ethereum's table of node URLs.
const KEY: &str = "1dd9d65c4552b5eb43d5ad55a2ee3f56c6cbc1c64a5c8d659f51fcd51bace243\
    51232b8d7821617d2b29b54b81cdefb9b3e9c37d7fd5f63270bcc9e1a6f6a439";

fn key() -> PublicKey {
    KEY.parse().unwrap()
}

fn url(rest: &str) -> String {
    format!("enode://{KEY}{rest}")
}

fn node(rest: &str) -> Node {
    url(rest).parse().unwrap()
}

fn endpoints(list: &[&str]) -> Vec<SocketAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

/// A record with what is `Some`.
fn record(
    ip4: Option<&str>,
    ip6: Option<&str>,
    [tcp4, tcp6, udp4, udp6]: [Option<u16>; 4],
) -> Record {
    let mut local = LocalRecord::new(SecretKey::from_bytes(&[7; 32]).unwrap(), 0);
    local.set_ip4(ip4.map(|ip| ip.parse().unwrap())).unwrap();
    local.set_ip6(ip6.map(|ip| ip.parse().unwrap())).unwrap();
    local.set_tcp4(tcp4).unwrap();
    local.set_tcp6(tcp6).unwrap();
    local.set_udp4(udp4).unwrap();
    local.set_udp6(udp6).unwrap();
    local.record().clone()
}

#[test]
fn every_form_of_url_is_understood_and_printed_the_same() {
    // What follows the key; endpoints of TCP and UDP.
    for (rest, tcp, udp) in [
        ("", None, None),
        ("@127.0.0.1:52150", Some("127.0.0.1:52150"), Some("127.0.0.1:52150")),
        ("@127.0.0.1:52150?discport=22334", Some("127.0.0.1:52150"), Some("127.0.0.1:22334")),
        ("@[::]:52150", Some("[::]:52150"), Some("[::]:52150")),
        (
            "@[2001:db8:3c4d:15::abcd:ef12]:52150",
            Some("[2001:db8:3c4d:15::abcd:ef12]:52150"),
            Some("[2001:db8:3c4d:15::abcd:ef12]:52150"),
        ),
        ("@[2001:db8::1]:1?discport=65535", Some("[2001:db8::1]:1"), Some("[2001:db8::1]:65535")),
        // A port of 0 is none: a node without discovery, and a bootnode that only has that.
        ("@10.0.0.1:30303?discport=0", Some("10.0.0.1:30303"), None),
        ("@10.0.0.1:0?discport=30301", None, Some("10.0.0.1:30301")),
        ("@10.0.0.1:0", None, None),
    ] {
        let node = node(rest);
        assert_eq!(node.to_string(), url(rest));
        assert_eq!(node.enode_url(), url(rest));
        assert_eq!(node.public_key(), &key());
        assert_eq!(node.id(), key().id());
        assert_eq!(node.tcp_endpoints(), endpoints(tcp.as_slice()), "{rest}");
        assert_eq!(node.udp_endpoints(), endpoints(udp.as_slice()), "{rest}");
        assert_eq!((node.hostname(), node.record()), (None, None));
    }
}

#[test]
fn other_spellings_are_understood_and_printed_in_the_usual_one() {
    let upper = KEY.to_uppercase();
    for (text, rest) in [
        (KEY.to_owned(), ""),
        (format!("0x{KEY}"), ""),
        (format!(" {KEY}\n"), ""),
        (format!("enode://{upper}@1.2.3.4:5"), "@1.2.3.4:5"),
        (format!("enode://0x{KEY}@1.2.3.4:5"), "@1.2.3.4:5"),
        (format!("  {}\n", url("@1.2.3.4:5")), "@1.2.3.4:5"),
        (url("@1.2.3.4:5?discport=5"), "@1.2.3.4:5"),
        (url("@1.2.3.4:00005"), "@1.2.3.4:5"),
        (url("@[::ffff:1.2.3.4]:5"), "@1.2.3.4:5"),
        (url("@[2001:DB8:0:0::1]:5"), "@[2001:db8::1]:5"),
        (url("@Node.Example.ORG:5"), "@node.example.org:5"),
    ] {
        assert_eq!(text.parse::<Node>().unwrap().to_string(), url(rest), "{text}");
    }
}

#[test]
fn names_are_kept_for_resolution() {
    for (rest, name) in [
        ("@hostname:3", "hostname"),
        ("@localhost:3?discport=4", "localhost"),
        ("@node-1.example.org:3", "node-1.example.org"),
        ("@example.org.:3", "example.org."),
        ("@geth_1:3", "geth_1"),
        ("@1.2.3.4.example:3", "1.2.3.4.example"),
        ("@xn--bcher-kva.example:3", "xn--bcher-kva.example"),
    ] {
        let node = node(rest);
        assert_eq!(node.to_string(), url(rest));
        assert_eq!(node.hostname(), Some(name));
        assert_eq!(node.tcp_port(), Some(3));
        assert!(node.tcp_endpoints().is_empty() && node.udp_endpoints().is_empty());
    }
}

#[test]
fn every_mistake_gets_its_sentence() {
    use ParseNodeError::*;
    let long_label = format!("@{}.org:3", "a".repeat(64));
    let long_name = format!("@{}org:3", "abcdefg.".repeat(32));
    for (text, error) in [
        ("".to_owned(), Empty),
        (" \n".to_owned(), Empty),
        ("http://foobar".to_owned(), Form),
        ("://foo".to_owned(), Form),
        ("enode:".to_owned(), Form),
        ("node1".to_owned(), Form),
        ("01010101".to_owned(), KeyLength { digits: 8 }),
        ("enode://".to_owned(), KeyLength { digits: 0 }),
        ("enode://01010101".to_owned(), KeyLength { digits: 8 }),
        ("enode://01010101@123.124.125.126:3".to_owned(), KeyLength { digits: 8 }),
        (format!("enode://{KEY}0@1.2.3.4:5"), KeyLength { digits: 129 }),
        (format!("enode://{}x@1.2.3.4:5", &KEY[1..]), KeyDigit { found: 'x' }),
        (format!("enode://{}é@1.2.3.4:5", &KEY[1..]), KeyDigit { found: 'é' }),
        (format!("enode://{KEY}:secret@1.2.3.4:5"), KeyDigit { found: ':' }),
        (format!("enode://{KEY}?discport=5"), KeyDigit { found: '?' }),
        (format!("enode://{}@1.2.3.4:5", "01".repeat(64)), KeyNotOnCurve),
        ("01".repeat(64), KeyNotOnCurve),
        ("enr:".to_owned(), Record(crate::RecordError::Rlp)),
        ("enr:x".to_owned(), Record(crate::RecordError::Base64)),
        (url("@"), NoHost),
        (url("@:30303"), NoHost),
        (url("@?discport=3"), NoHost),
        (url("@1.2.3.4"), NoPort),
        (url("@1.2.3.4:"), NoPort),
        (url("@[::1]"), NoPort),
        (url("@[::1]:"), NoPort),
        (url("@[::1]30303"), NoPort),
        (url("@example.org?discport=3"), NoPort),
        (url("@127.0.0.1:foo"), Port),
        (url("@127.0.0.1:65536"), Port),
        (url("@127.0.0.1:+1"), Port),
        (url("@127.0.0.1:-1"), Port),
        (url("@127.0.0.1: 1"), Port),
        (url("@127.0.0.1:3?discport=foo"), Discport),
        (url("@127.0.0.1:3?discport="), Discport),
        (url("@127.0.0.1:3?discport=65536"), Discport),
        (url("@127.0.0.1:3?discport=+5"), Discport),
        (url("@127.0.0.1:3?"), Query),
        (url("@127.0.0.1:3?port=3"), Query),
        (url("@127.0.0.1:3?discport=3&discport=4"), Query),
        (url("@127.0.0.1:3/"), Trailing),
        (url("@127.0.0.1:3?discport=3#here"), Trailing),
        (url("@2001:db8::1:30303"), Ipv6Brackets),
        (url("@::1:30303"), Ipv6Brackets),
        (url("@[2001:db8::g]:3"), Ipv6),
        (url("@[2001:db8::1:3"), Ipv6),
        (url("@[1.2.3.4]:3"), Ipv6),
        (url("@[fe80::1%eth0]:3"), Zone),
        (url("@[fe80::1%25eth0]:3"), Zone),
        (url("@1.2.3.400:3"), Host),
        (url("@1.2.3:3"), Host),
        (url("@0x7f000001:3"), Host),
        (url("@-a.org:3"), Host),
        (url("@a-.org:3"), Host),
        (url("@a..org:3"), Host),
        (url("@.org:3"), Host),
        (url("@.:3"), Host),
        (url("@bücher.example:3"), Host),
        (url("@a b:3"), Host),
        (url("@user@host:3"), Host),
        (url(&long_label), Host),
        (url(&long_name), Host),
    ] {
        assert_eq!(text.parse::<Node>(), Err(error), "{text}");
        let sentence = error.to_string();
        assert!(sentence.len() > 20 && !sentence.contains('\n'), "{sentence}");
    }
}

#[test]
fn a_record_is_a_node_and_prints_as_one() {
    let record = record(Some("1.2.3.4"), None, [Some(30303), None, Some(30303), None]);
    let node = Node::from_record(record.clone());
    assert_eq!(record.to_string().parse(), Ok(node.clone()));
    assert_eq!(node.to_string(), record.to_string());
    assert_eq!((node.record(), node.id()), (Some(&record), record.id()));
    assert_eq!(node.enode_url(), format!("enode://{}@1.2.3.4:30303", record.public_key()));
    assert_eq!(Node::from(record), node);
}

#[test]
fn the_most_global_address_comes_first_and_ipv4_of_equals() {
    // IPv4, IPv6, which come first to last.
    for (ip4, ip6, order) in [
        (None, None, &[][..]),
        (Some("127.0.0.1"), None, &["127.0.0.1:1"]),
        (None, Some("::1"), &["[::1]:1"]),
        (Some("0.0.0.0"), None, &[]),
        (Some("0.0.0.0"), Some("::1"), &["[::1]:1"]),
        (Some("127.0.0.1"), Some("::"), &["127.0.0.1:1"]),
        (Some("127.0.0.1"), Some("::1"), &["127.0.0.1:1", "[::1]:1"]),
        (Some("127.0.0.1"), Some("fe80::1"), &["[fe80::1]:1", "127.0.0.1:1"]),
        (Some("169.254.2.3"), Some("::1"), &["169.254.2.3:1", "[::1]:1"]),
        (Some("169.254.2.3"), Some("fe80::1"), &["169.254.2.3:1", "[fe80::1]:1"]),
        (Some("169.254.2.3"), Some("fc00::1"), &["[fc00::1]:1", "169.254.2.3:1"]),
        (Some("192.168.2.2"), Some("fc00::1"), &["192.168.2.2:1", "[fc00::1]:1"]),
        (Some("192.168.2.2"), Some("fe80::1"), &["192.168.2.2:1", "[fe80::1]:1"]),
        (Some("192.168.2.2"), Some("2a01::1"), &["[2a01::1]:1", "192.168.2.2:1"]),
        (Some("100.64.1.1"), Some("2a01::1"), &["[2a01::1]:1", "100.64.1.1:1"]),
        (Some("22.22.22.22"), Some("fc00::1"), &["22.22.22.22:1", "[fc00::1]:1"]),
        (Some("22.22.22.22"), Some("2a01::1"), &["22.22.22.22:1", "[2a01::1]:1"]),
        // A mapped address is no IPv6 address.
        (Some("10.0.0.1"), Some("::ffff:8.8.8.8"), &["10.0.0.1:1"]),
    ] {
        let node = Node::from(record(ip4, ip6, [Some(1), None, Some(1), None]));
        assert_eq!(node.tcp_endpoints(), endpoints(order));
        assert_eq!(node.udp_endpoints(), endpoints(order));
    }
}

#[test]
fn ports_of_ipv6_fall_back_to_the_common_ones_and_never_the_other_way() {
    const IP4: Option<&str> = Some("1.2.3.4");
    const IP6: Option<&str> = Some("2a01::1");
    // Addresses; ports tcp, tcp6, udp, udp6; endpoints; preferred ports.
    type Case = (
        [Option<&'static str>; 2],
        [u16; 4],
        (&'static [&'static str], &'static [&'static str]),
        [Option<u16>; 2],
    );
    let cases: [Case; 9] = [
        ([None, None], [0, 0, 9000, 0], (&[], &[]), [None, Some(9000)]),
        ([None, None], [9000, 0, 0, 0], (&[], &[]), [Some(9000), None]),
        ([None, None], [0, 9000, 0, 0], (&[], &[]), [Some(9000), None]),
        ([IP4, None], [1, 2, 3, 4], (&["1.2.3.4:1"], &["1.2.3.4:3"]), [Some(1), Some(3)]),
        ([None, IP6], [1, 2, 3, 4], (&["[2a01::1]:2"], &["[2a01::1]:4"]), [Some(2), Some(4)]),
        ([None, IP6], [1, 0, 3, 0], (&["[2a01::1]:1"], &["[2a01::1]:3"]), [Some(1), Some(3)]),
        ([None, IP6], [0, 2, 0, 4], (&["[2a01::1]:2"], &["[2a01::1]:4"]), [Some(2), Some(4)]),
        (
            [IP4, IP6],
            [1, 2, 3, 4],
            (&["1.2.3.4:1", "[2a01::1]:2"], &["1.2.3.4:3", "[2a01::1]:4"]),
            [Some(1), Some(3)],
        ),
        (
            [IP4, IP6],
            [0, 2, 3, 0],
            (&["[2a01::1]:2"], &["1.2.3.4:3", "[2a01::1]:3"]),
            [Some(2), Some(3)],
        ),
    ];
    for ([ip4, ip6], ports, (tcp, udp), [tcp_port, udp_port]) in cases {
        let node = Node::from(record(ip4, ip6, ports.map(Some)));
        assert_eq!(node.tcp_endpoints(), endpoints(tcp));
        assert_eq!(node.udp_endpoints(), endpoints(udp));
        assert_eq!((node.tcp_port(), node.udp_port()), (tcp_port, udp_port));
    }
}

#[test]
fn the_url_of_a_record_has_its_preferred_address() {
    let secret = SecretKey::from_bytes(&[7; 32]).unwrap();
    for (ip4, ip6, ports, rest) in [
        (None, None, [Some(1), None, Some(1), None], ""),
        (Some("1.2.3.4"), Some("2a01::1"), [Some(1), None, Some(1), None], "@1.2.3.4:1"),
        (
            Some("10.0.0.1"),
            Some("2a01::1"),
            [Some(1), Some(2), Some(1), Some(3)],
            "@[2a01::1]:2?discport=3",
        ),
        (Some("1.2.3.4"), None, [None, None, Some(5), None], "@1.2.3.4:0?discport=5"),
        (Some("1.2.3.4"), None, [Some(5), None, None, None], "@1.2.3.4:5?discport=0"),
    ] {
        let node = Node::from(record(ip4, ip6, ports));
        assert_eq!(node.enode_url(), format!("enode://{}{rest}", secret.public()));
    }
}

#[test]
fn a_name_stands_for_the_first_ipv4_address_or_else_the_first() {
    let named = || node("@example.org:3?discport=4");
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    for (addresses, first) in [
        (&["2a01::1", "8.8.8.8", "9.9.9.9"][..], Some("8.8.8.8")),
        (&["2a01::1", "2a01::2"], Some("2a01::1")),
        (&[], None),
    ] {
        let addresses: Vec<_> = addresses.iter().map(|text| ip(text)).collect();
        let node = named().resolved_to(&addresses);
        let (tcp, udp) = (first.map(|it| (ip(it), 3).into()), first.map(|it| (ip(it), 4).into()));
        assert_eq!(node.tcp_endpoints(), Vec::from_iter(tcp));
        assert_eq!(node.udp_endpoints(), Vec::from_iter(udp));
        assert_eq!(node.hostname(), Some("example.org"));
    }
    // Without a name there is nothing to be resolved.
    assert_eq!(Node::new(key()).resolved_to(&[ip("8.8.8.8")]), Node::new(key()));
}

#[test]
fn a_resolved_name_has_an_endpoint_and_is_still_a_name() {
    let node = node("@example.org:3?discport=4").with_tcp_endpoint("[2a01::1]:3".parse().unwrap());
    assert_eq!(node.hostname(), Some("example.org"));
    assert_eq!(node.tcp_endpoints(), endpoints(&["[2a01::1]:3"]));
    assert_eq!(node.udp_endpoints(), endpoints(&["[2a01::1]:4"]));
    assert_eq!(node.enode_url(), url("@example.org:3?discport=4"));
}

#[test]
fn a_tcp_endpoint_of_its_own_replaces_all_others_and_leaves_udp_alone() {
    let seen: SocketAddr = "[::ffff:9.9.9.9]:7".parse().unwrap();
    let known = record(Some("1.2.3.4"), Some("2a01::1"), [Some(1), None, Some(2), None]);
    let node = Node::from_record(known.clone()).with_tcp_endpoint(seen);
    assert_eq!(node.tcp_endpoints(), endpoints(&["9.9.9.9:7"]));
    assert_eq!(node.udp_endpoints(), endpoints(&["1.2.3.4:2", "[2a01::1]:2"]));
    assert_eq!((node.tcp_port(), node.udp_port()), (Some(7), Some(2)));
    assert_eq!(node.record(), Some(&known));
    assert_eq!(node.enode_url(), format!("enode://{}@9.9.9.9:7?discport=2", known.public_key()));

    let node = Node::new(key()).with_tcp_endpoint(seen);
    assert_eq!(node.enode_url(), url("@9.9.9.9:7?discport=0"));
    assert!(node.udp_endpoints().is_empty());
}

#[test]
fn a_node_made_of_parts_equals_the_parsed_one() {
    let made = |tcp: &str, udp| Node::from_endpoint(key(), tcp.parse().unwrap(), udp);
    assert_eq!(made("1.2.3.4:5", None), node("@1.2.3.4:5"));
    assert_eq!(made("1.2.3.4:5", Some(0)), node("@1.2.3.4:5?discport=0"));
    assert_eq!(made("[::ffff:1.2.3.4]:5", None), node("@1.2.3.4:5"));
    assert_eq!(made("[2a01::1]:5", Some(6)), node("@[2a01::1]:5?discport=6"));
    assert_eq!(Node::from(key()), node(""));
}

#[test]
fn debug_is_short() {
    let id = hex::encode(&key().id().0[..4]);
    assert_eq!(format!("{:?}", node("@1.2.3.4:5")), format!("Node({id}..@1.2.3.4:5)"));
    assert_eq!(format!("{:?}", node("")), format!("Node({id}..)"));
}

fn place() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| IpAddr::from(ip).to_string()),
        any::<[u8; 16]>().prop_map(|ip| format!("[{}]", IpAddr::from(ip))),
        "[a-z]([a-z0-9_-]{0,20}[a-z0-9])?(\\.[a-z]{1,10}){0,3}\\.?",
    ];
    (host, any::<u16>(), any::<Option<u16>>()).prop_map(|(host, tcp, udp)| match udp {
        Some(udp) => format!("@{host}:{tcp}?discport={udp}"),
        None => format!("@{host}:{tcp}"),
    })
}

proptest! {
    #[test]
    fn what_is_parsed_prints_as_what_parses_the_same(secret in 1u8.., place in place()) {
        let key = *SecretKey::from_bytes(&[secret; 32]).map_err(|_| TestCaseError::reject("key"))?.public();
        let node: Node = format!("enode://{key}{place}").parse().unwrap();
        prop_assert_eq!(node.to_string().parse(), Ok(node));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = text.parse::<Node>();
        let _ = format!("enode://{text}").parse::<Node>();
        let _ = url(&format!("@{text}")).parse::<Node>();
    }

    #[test]
    fn no_text_of_the_right_letters_panics(rest in "[@\\[\\]:?.%a-f0-9]{0,30}(\\?discport=[0-9]{0,6})?") {
        if let Ok(node) = url(&rest).parse::<Node>() {
            prop_assert_eq!(node.to_string().parse(), Ok(node));
        }
    }
}

#[test]
fn a_node_heard_elsewhere_keeps_what_it_signed() {
    let signed = record(Some("1.2.3.4"), None, [Some(30303), None, Some(30301), None]);
    let node =
        Node::from_record(signed.clone()).with_udp_endpoint("[::ffff:5.6.7.8]:9".parse().unwrap());
    assert_eq!(node.udp_endpoints(), endpoints(&["5.6.7.8:9"]));
    assert_eq!(node.udp_port(), Some(9));
    assert_eq!(node.tcp_endpoints(), endpoints(&["1.2.3.4:30303"]));
    assert_eq!(node.record(), Some(&signed));
    let nowhere = node.with_udp_endpoint("5.6.7.8:0".parse().unwrap());
    assert_eq!((nowhere.udp_port(), nowhere.udp_endpoints()), (None, vec![]));
}
