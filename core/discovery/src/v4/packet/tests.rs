use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use alloy_rlp::{Encodable, Header};
use peerage_machine::Random;
use peerage_node::{LocalRecord, Node};
use proptest::prelude::*;

use super::*;

/// The datagrams of EIP-8, signed by `EIP8_KEY`, valid until `EIP8_EXPIRATION`.
const EIP8_KEY: &str = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291";
const EIP8_EXPIRATION: u64 = 1_136_239_445;
const EIP8_PING_V4: &str = "e9614ccfd9fc3e74360018522d30e1419a143407ffcce748de3e22116b7e8dc92ff74788c0b6663aaa3d67d641936511c8f8d6ad8698b820a7cf9e1be7155e9a241f556658c55428ec0563514365799a4be2be5a685a80971ddcfa80cb422cdd0101ec04cb847f000001820cfa8215a8d790000000000000000000000000000000018208ae820d058443b9a3550102";
const EIP8_PING_V555: &str = "577be4349c4dd26768081f58de4c6f375a7a22f3f7adda654d1428637412c3d7fe917cadc56d4e5e7ffae1dbe3efffb9849feb71b262de37977e7c7a44e677295680e9e38ab26bee2fcbae207fba3ff3d74069a50b902a82c9903ed37cc993c50001f83e82022bd79020010db83c4d001500000000abcdef12820cfa8215a8d79020010db885a308d313198a2e037073488208ae82823a8443b9a355c5010203040531b9019afde696e582a78fa8d95ea13ce3297d4afb8ba6433e4154caa5ac6431af1b80ba76023fa4090c408f6b4bc3701562c031041d4702971d102c9ab7fa5eed4cd6bab8f7af956f7d565ee1917084a95398b6a21eac920fe3dd1345ec0a7ef39367ee69ddf092cbfe5b93e5e568ebc491983c09c76d922dc3";
const EIP8_PONG: &str = "09b2428d83348d27cdf7064ad9024f526cebc19e4958f0fdad87c15eb598dd61d08423e0bf66b2069869e1724125f820d851c136684082774f870e614d95a2855d000f05d1648b2d5945470bc187c2d2216fbe870f43ed0909009882e176a46b0102f846d79020010db885a308d313198a2e037073488208ae82823aa0fbc914b16819237dcd8801d7e53f69e9719adecb3cc0e790c57e91ca4461c9548443b9a355c6010203c2040506a0c969a58f6f9095004c0177a6b47f451530cab38966a25cca5cb58f055542124e";
const EIP8_FIND_NODE: &str = "c7c44041b9f7c7e41934417ebac9a8e1a4c6298f74553f2fcfdcae6ed6fe53163eb3d2b52e39fe91831b8a927bf4fc222c3902202027e5e9eb812195f95d20061ef5cd31d502e47ecb61183f74a504fe04c51e73df81f25c4d506b26db4517490103f84eb840ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f8443b9a35582999983999999280dc62cc8255c73471e0a61da0c89acdc0e035e260add7fc0c04ad9ebf3919644c91cb247affc82b69bd2ca235c71eab8e49737c937a2c396";
const EIP8_NEIGHBORS: &str = "c679fc8fe0b8b12f06577f2e802d34f6fa257e6137a995f6f4cbfc9ee50ed3710faf6e66f932c4c8d81d64343f429651328758b47d3dbc02c4042f0fff6946a50f4a49037a72bb550f3a7872363a83e1b9ee6469856c24eb4ef80b7535bcf99c0004f9015bf90150f84d846321163782115c82115db8403155e1427f85f10a5c9a7755877748041af1bcd8d474ec065eb33df57a97babf54bfd2103575fa829115d224c523596b401065a97f74010610fce76382c0bf32f84984010203040101b840312c55512422cf9b8a4097e9a6ad79402e87a15ae909a4bfefa22398f03d20951933beea1e4dfa6f968212385e829f04c2d314fc2d4e255e0d3bc08792b069dbf8599020010db83c4d001500000000abcdef12820d05820d05b84038643200b172dcfef857492156971f0e6aa2c538d8b74010f8e140811d53b98c765dd2d96126051913f44582e8c199ad7c6d6819e9a56483f637feaac9448aacf8599020010db885a308d313198a2e037073488203e78203e8b8408dcab8618c3253b558d459da53bd8fa68935a719aff8b811197101a4b2b47dd2d47295286fc00cc081bb542d760717d1bdd6bec2c37cd72eca367d6dd3b9df738443b9a355010203b525a138aa34383fec3d2719a0";

fn endpoint(ip: &str, udp: u16, tcp: u16) -> Endpoint {
    Endpoint { ip: Some(ip.parse().unwrap()), udp, tcp }
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

#[test]
fn the_packets_of_eip_8_are_accepted() {
    let ping_v4 = Packet::Ping(Ping {
        from: endpoint("127.0.0.1", 3322, 5544),
        to: endpoint("::1", 2222, 3333),
        expiration: EIP8_EXPIRATION,
        // The first additional element stands where EIP-868 later put the sequence number.
        seq: Some(1),
    });
    let ping_v555 = Packet::Ping(Ping {
        from: endpoint("2001:db8:3c4d:15::abcd:ef12", 3322, 5544),
        to: endpoint("2001:db8:85a3:8d3:1319:8a2e:370:7348", 2222, 33338),
        expiration: EIP8_EXPIRATION,
        seq: None,
    });
    let pong = Packet::Pong(Pong {
        to: endpoint("2001:db8:85a3:8d3:1319:8a2e:370:7348", 2222, 33338),
        token: array("fbc914b16819237dcd8801d7e53f69e9719adecb3cc0e790c57e91ca4461c954"),
        expiration: EIP8_EXPIRATION,
        seq: None,
    });
    let find_node = Packet::FindNode(FindNode {
        target: Target(array(
            "ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f",
        )),
        expiration: EIP8_EXPIRATION,
    });
    let neighbor = |endpoint, key: &str| Neighbor { endpoint, key: array(key) };
    let neighbors = Packet::Neighbors(Neighbors {
        nodes: vec![
            neighbor(
                endpoint("99.33.22.55", 4444, 4445),
                "3155e1427f85f10a5c9a7755877748041af1bcd8d474ec065eb33df57a97babf54bfd2103575fa829115d224c523596b401065a97f74010610fce76382c0bf32",
            ),
            neighbor(
                endpoint("1.2.3.4", 1, 1),
                "312c55512422cf9b8a4097e9a6ad79402e87a15ae909a4bfefa22398f03d20951933beea1e4dfa6f968212385e829f04c2d314fc2d4e255e0d3bc08792b069db",
            ),
            neighbor(
                endpoint("2001:db8:3c4d:15::abcd:ef12", 3333, 3333),
                "38643200b172dcfef857492156971f0e6aa2c538d8b74010f8e140811d53b98c765dd2d96126051913f44582e8c199ad7c6d6819e9a56483f637feaac9448aac",
            ),
            neighbor(
                endpoint("2001:db8:85a3:8d3:1319:8a2e:370:7348", 999, 1000),
                "8dcab8618c3253b558d459da53bd8fa68935a719aff8b811197101a4b2b47dd2d47295286fc00cc081bb542d760717d1bdd6bec2c37cd72eca367d6dd3b9df73",
            ),
        ],
        expiration: EIP8_EXPIRATION,
    });

    let key: SecretKey = EIP8_KEY.parse().unwrap();
    for (text, expected) in [
        (EIP8_PING_V4, ping_v4),
        (EIP8_PING_V555, ping_v555),
        (EIP8_PONG, pong),
        (EIP8_FIND_NODE, find_node),
        (EIP8_NEIGHBORS, neighbors),
    ] {
        let bytes = hex::decode(text).unwrap();
        let (packet, signer, hash) = Packet::decode(&bytes).unwrap();
        assert_eq!(packet, expected);
        assert_eq!(&signer, key.public());
        assert_eq!(hash, bytes[..32]);
        assert!(!packet.is_expired(Duration::from_secs(EIP8_EXPIRATION)));
        assert!(packet.is_expired(Duration::from_secs(EIP8_EXPIRATION + 1)));
    }
}

#[test]
fn times_before_1970_are_past() {
    let at = |expiration| Packet::EnrRequest(EnrRequest { expiration });
    let now = Duration::from_secs(1_800_000_000);
    for (expiration, is_expired) in [
        (0, true),
        (1_799_999_999, true),
        (1_800_000_000, false),
        // Far ahead, but a time.
        (u64::MAX >> 1, false),
        ((u64::MAX >> 1) + 1, true),
        // -(now + 20), as the test of go-ethereum sends it.
        (0_u64.wrapping_sub(1_800_000_020), true),
        (u64::MAX, true),
    ] {
        assert_eq!(at(expiration).is_expired(now), is_expired, "{expiration:#x}");
    }
}

#[test]
fn the_largest_packets_fit() {
    let key = SecretKey::generate(&mut Random::from_seed([1; 32]));
    let ip = IpAddr::V6(Ipv6Addr::from([0xff; 16]));
    let endpoint = Endpoint { ip: Some(ip), udp: u16::MAX, tcp: u16::MAX };
    let neighbor = Neighbor { endpoint, key: key.public().to_bytes() };
    let neighbors = |count| {
        let packet = Neighbors { nodes: vec![neighbor; count], expiration: u64::MAX };
        Packet::Neighbors(packet).encode(&key).0.len()
    };
    assert!(neighbors(MAX_NEIGHBORS) <= MAX_PACKET_SIZE);
    assert!(neighbors(MAX_NEIGHBORS + 1) > MAX_PACKET_SIZE);
}

#[test]
fn odd_endpoints_are_read_as_far_as_they_make_sense() {
    let ip16 = Ipv4Addr::new(192, 0, 2, 0).to_ipv6_mapped();
    for (ip, expected) in [
        (vec![], None),
        (vec![192, 0, 2, 0], Some("192.0.2.0")),
        // What go-ethereum's tests send.
        (ip16.octets().to_vec(), Some("192.0.2.0")),
        (vec![1, 2, 3], None),
        (vec![9; 40], None),
    ] {
        let mut payload = Vec::new();
        ip.as_slice().encode(&mut payload);
        0x1234_u16.encode(&mut payload);
        let mut list = Vec::new();
        crate::rlp::encode_list(&payload, &mut list);
        let expected = Endpoint { ip: expected.map(|ip| ip.parse().unwrap()), udp: 0x1234, tcp: 0 };
        assert_eq!(Endpoint::decode(&mut list.as_slice()), Ok(expected));
    }
}

#[test]
fn a_neighbor_with_a_key_that_is_none_is_no_node_and_spoils_no_other() {
    let key = SecretKey::generate(&mut Random::from_seed([2; 32]));
    let endpoint = endpoint("10.0.0.1", 30303, 30303);
    let nodes = vec![
        Neighbor { endpoint, key: [0xff; 64] },
        Neighbor { endpoint, key: key.public().to_bytes() },
    ];
    let packet = Packet::Neighbors(Neighbors { nodes: nodes.clone(), expiration: 1 });
    let Ok((Packet::Neighbors(read), ..)) = Packet::decode(&packet.encode(&key).0) else {
        panic!("neighbors");
    };
    assert_eq!(read.nodes, nodes);
    assert_eq!(read.nodes[0].to_node(), None);
    assert_eq!(read.nodes[1].to_node().unwrap().public_key(), key.public());
}

#[test]
fn records_are_passed_on_as_they_are() {
    let key = SecretKey::generate(&mut Random::from_seed([3; 32]));
    let record = LocalRecord::new(key.clone(), 0).record().encode();
    let packet = Packet::EnrResponse(EnrResponse { token: [7; 32], record });
    assert_eq!(Packet::decode(&packet.encode(&key).0).unwrap().0, packet);
    assert!(!packet.is_expired(Duration::MAX));
}

#[test]
fn what_is_not_a_packet_is_refused_by_the_cheapest_step() {
    let key = SecretKey::generate(&mut Random::from_seed([4; 32]));
    let (good, _) = Packet::EnrRequest(EnrRequest { expiration: 5 }).encode(&key);
    assert!(Packet::decode(&good).is_ok());

    let size = |bytes: &[u8]| PacketError::Size { size: bytes.len() };
    for bytes in [&good[..0], &good[..HEAD_SIZE], &[0; MAX_PACKET_SIZE + 1][..]] {
        assert_eq!(Sealed::check(bytes).unwrap_err(), size(bytes));
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(Sealed::check(&bad).unwrap_err(), PacketError::Hash, "byte {at}");
    }

    // As go-ethereum's test: well-formed, signed, and of a type that nobody knows.
    assert_eq!(resealed(&good, |bytes| bytes[97] = 66), Err(PacketError::UnknownType { kind: 66 }));
    assert_eq!(resealed(&good, |bytes| bytes[97] = 0), Err(PacketError::UnknownType { kind: 0 }));
    let malformed = Err(PacketError::Malformed { kind: 0x05 });
    assert_eq!(resealed(&good, |bytes| bytes[98] = 0xff), malformed);
    // A recovery id that does not exist.
    assert_eq!(resealed(&good, |bytes| bytes[96] = 4), Err(PacketError::Signature));
}

/// What reading says to `good` with a change that the hash follows, but not the signature.
fn resealed(good: &[u8], change: impl FnOnce(&mut [u8])) -> Result<Packet, PacketError> {
    let mut bytes = good.to_vec();
    change(&mut bytes);
    let hash = keccak(&bytes[HASH_SIZE..]);
    bytes[..HASH_SIZE].copy_from_slice(&hash);
    Packet::decode(&bytes).map(|(packet, ..)| packet)
}

fn any_endpoint() -> impl Strategy<Value = Endpoint> {
    (any::<Option<IpAddr>>(), any::<u16>(), any::<u16>()).prop_map(|(ip, udp, tcp)| Endpoint {
        ip: ip.map(|ip| ip.to_canonical()),
        udp,
        tcp,
    })
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let key = SecretKey::generate(&mut Random::from_seed([5; 32]));
    let neighbor = any_endpoint()
        .prop_map(move |endpoint| Neighbor { endpoint, key: key.public().to_bytes() });
    prop_oneof![
        (any_endpoint(), any_endpoint(), any::<u64>(), any::<Option<u64>>()).prop_map(
            |(from, to, expiration, seq)| Packet::Ping(Ping { from, to, expiration, seq })
        ),
        (any_endpoint(), any::<Token>(), any::<u64>(), any::<Option<u64>>()).prop_map(
            |(to, token, expiration, seq)| Packet::Pong(Pong { to, token, expiration, seq })
        ),
        (proptest::collection::vec(any::<u8>(), 64), any::<u64>()).prop_map(
            |(target, expiration)| Packet::FindNode(FindNode {
                target: Target(target.try_into().unwrap()),
                expiration
            })
        ),
        (proptest::collection::vec(neighbor, 0..=MAX_NEIGHBORS), any::<u64>())
            .prop_map(|(nodes, expiration)| Packet::Neighbors(Neighbors { nodes, expiration })),
        any::<u64>().prop_map(|expiration| Packet::EnrRequest(EnrRequest { expiration })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(packet in any_packet()) {
        let key = SecretKey::generate(&mut Random::from_seed([6; 32]));
        let (bytes, hash) = packet.encode(&key);
        prop_assert!(bytes.len() <= MAX_PACKET_SIZE);
        prop_assert_eq!(Packet::decode(&bytes), Ok((packet, *key.public(), hash)));
    }

    /// EIP-8: more elements at the end of the list, and bytes after it. Only the sequence number's
    /// place is taken by what comes first, if that is a number.
    #[test]
    fn more_elements_and_bytes_change_nothing(packet in any_packet(), junk in any::<[u8; 9]>()) {
        let key = SecretKey::generate(&mut Random::from_seed([7; 32]));
        let (bytes, _) = packet.encode(&key);
        let mut payload = Header::decode_bytes(&mut &bytes[HEAD_SIZE..], true).unwrap().to_vec();
        junk.as_slice().encode(&mut payload);
        encode_empty_list(&mut payload);
        let mut longer = bytes[..HEAD_SIZE].to_vec();
        crate::rlp::encode_list(&payload, &mut longer);
        longer.extend_from_slice(&junk);
        prop_assume!(longer.len() <= MAX_PACKET_SIZE);
        prop_assert_eq!(resealed(&longer, |_| ()), Ok(packet));
    }

    #[test]
    fn random_content_never_panics(kind in 0_u8..8, content in any::<Vec<u8>>()) {
        let mut bytes = vec![0; HEAD_SIZE];
        bytes[HEAD_SIZE - 1] = kind;
        bytes.extend_from_slice(&content);
        let _ = resealed(&bytes, |_| ());
    }

    #[test]
    fn neighbors_become_the_nodes_they_were(
        ip in any::<[u8; 4]>(), udp in 1..=u16::MAX, tcp in any::<u16>()
    ) {
        let key = SecretKey::generate(&mut Random::from_seed([8; 32]));
        let ip = IpAddr::from(ip);
        let node = Node::from_endpoint(*key.public(), SocketAddr::new(ip, tcp), Some(udp));
        let neighbor = Neighbor::new(&node, SocketAddr::new(ip, udp));
        prop_assert_eq!(neighbor.to_node(), Some(node));
    }
}

fn encode_empty_list(out: &mut Vec<u8>) {
    Header { list: true, payload_length: 0 }.encode(out);
}
