//! The packet vectors of the specification, written and read; and what is not a packet.

use std::net::SocketAddr;

use alloy_rlp::Encodable as _;
use peerage_node::{EphemeralKey, LocalRecord, SecretKey};
use proptest::prelude::*;

use super::*;
use crate::{
    rlp::with_list,
    v5::crypto::{SessionKeys, identity_digest},
};

const NODE_A: &str = "eef77acb6c6a6eebc5b363a475ac583ec7eccdb42b6481424c60f59aa326547f";
const NODE_B: &str = "66fb62bfbd66b9177a138c1e5cddbe4f7c30c343e94e68df8769459cb1cde628";
const EPHEMERAL: &str = "0288ef00023598499cb6c940146d050d2b1fb914198c327f76aad590bead68b6";

const WHO_ARE_YOU: &str = "00000000000000000000000000000000088b3d434277464933a1ccc59f5967ad\
                           1d6035f15e528627dde75cd68292f9e6c27d6b66c8100a873fcbaed4e16b8d";
const PING: &str = "00000000000000000000000000000000088b3d4342774649325f313964a39e55\
                    ea96c005ad52be8c7560413a7008f16c9e6d2f43bbea8814a546b7409ce783d3\
                    4c4f53245d08dab84102ed931f66d1492acb308fa1c6715b9d139b81acbdcc";
const HANDSHAKE: &str = "00000000000000000000000000000000088b3d4342774649305f313964a39e55\
                         ea96c005ad521d8c7560413a7008f16c9e6d2f43bbea8814a546b7409ce783d3\
                         4c4f53245d08da4bb252012b2cba3f4f374a90a75cff91f142fa9be3e0a5f3ef\
                         268ccb9065aeecfd67a999e7fdc137e062b2ec4a0eb92947f0d9a74bfbf44dfb\
                         a776b21301f8b65efd5796706adff216ab862a9186875f9494150c4ae06fa4d1\
                         f0396c93f215fa4ef524f1eadf5f0f4126b79336671cbcf7a885b1f8bd2a5d83\
                         9cf8";
const HANDSHAKE_WITH_RECORD: &str = "00000000000000000000000000000000088b3d4342774649305f313964a39e55\
     ea96c005ad539c8c7560413a7008f16c9e6d2f43bbea8814a546b7409ce783d3\
     4c4f53245d08da4bb23698868350aaad22e3ab8dd034f548a1c43cd246be9856\
     2fafa0a1fa86d8e7a3b95ae78cc2b988ded6a5b59eb83ad58097252188b902b2\
     1481e30e5e285f19735796706adff216ab862a9186875f9494150c4ae06fa4d1\
     f0396c93f215fa4ef524e0ed04c3c21e39b1868e1ca8105e585ec17315e755e6\
     cfc4dd6cb7fd8e1a1f55e49b4b5eb024221482105346f3c82b15fdaae36a3bb1\
     2a494683b4a3c7f2ae41306252fed84785e2bbff3b022812d0882f06978df84a\
     80d443972213342d04b9048fc3b1d5fcb1df0f822152eced6da4d3f6df27e70e\
     4539717307a0208cd208d65093ccab5aa596a34d7511401987662d8cf62b1394\
     71";

const ID_NONCE: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const REQUEST_NONCE: Nonce = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

fn key(digits: &str) -> SecretKey {
    digits.parse().unwrap()
}

fn id(digits: &str) -> NodeId {
    key(digits).public().id()
}

fn mask() -> Mask {
    Mask::of(&id(NODE_B))
}

/// PING with the id and the number of the vectors.
fn ping(seq: u64) -> Vec<u8> {
    Message::Ping { id: RequestId::new(&[0, 0, 0, 1]).unwrap(), seq }.encode()
}

/// The handshake of the vectors, which answers a challenge that knows the record `seq` of A.
fn vector_handshake(seq: u64, record: &[u8]) -> (Vec<u8>, SessionKeys, [u8; 32]) {
    let (_, challenge) = who_are_you(&mask(), &[0; 16], &REQUEST_NONCE, &ID_NONCE, seq);
    let (a, b) = (key(NODE_A), key(NODE_B));
    let ephemeral = EphemeralKey::from_bytes(&key(EPHEMERAL).to_bytes()).unwrap();
    let (ids, public) = ((a.public().id(), b.public().id()), ephemeral.public().to_compressed());
    let keys = SessionKeys::derive(&ephemeral.agree_point(b.public()), &ids.0, &ids.1, &challenge);
    let digest = identity_digest(&challenge, &public, &ids.1);
    let proof = Handshake {
        source: ids.0,
        signature: &a.sign(&digest).to_rs(),
        ephemeral: &public,
        record,
    };
    let cipher = Cipher::new(&keys.initiator);
    (handshake(&mask(), &[0; 16], &[0xff; 12], &proof, &cipher, &ping(1)), keys, digest)
}

#[test]
fn the_who_are_you_vector_is_written_and_read() {
    let (bytes, data) = who_are_you(&mask(), &[0; 16], &REQUEST_NONCE, &ID_NONCE, 0);
    assert_eq!(hex::encode(bytes), WHO_ARE_YOU);
    let packet = Unmasked::check(&mask(), &bytes).unwrap();
    assert_eq!(packet.header(), Header::WhoAreYou { id_nonce: ID_NONCE, seq: 0 });
    assert_eq!((packet.nonce(), *packet.challenge_data()), (REQUEST_NONCE, data));
}

#[test]
fn the_ping_vector_is_written_and_read() {
    let cipher = Cipher::new(&[0; 16]);
    let bytes = message(&mask(), &[0; 16], &[0xff; 12], &id(NODE_A), &cipher, &ping(2));
    assert_eq!(hex::encode(&bytes), PING);
    let packet = Unmasked::check(&mask(), &bytes).unwrap();
    assert_eq!(packet.header(), Header::Message { source: id(NODE_A) });
    let text = cipher.open(&packet.nonce(), packet.head(), packet.message()).unwrap();
    assert_eq!(text, ping(2));
}

#[test]
fn the_handshake_vectors_are_written_and_read() {
    let mut record = LocalRecord::new(key(NODE_A), 0);
    record.set_ip4(Some([127, 0, 0, 1].into())).unwrap();
    let record = record.record().encode();
    for (seq, record, vector, opens) in [
        (1, &[][..], HANDSHAKE, "4f9fac6de7567d1e3b1241dffe90f662"),
        (0, &record, HANDSHAKE_WITH_RECORD, "53b1c075f41876423154e157470c2f48"),
    ] {
        let (bytes, keys, digest) = vector_handshake(seq, record);
        assert_eq!(hex::encode(keys.initiator), opens);
        let written = hex::encode(&bytes);
        let bytes = hex::decode(vector).unwrap();
        assert_eq!(written, vector);
        let packet = Unmasked::check(&mask(), &bytes).unwrap();
        let Header::Handshake(proof) = packet.header() else { panic!("{:?}", packet.header()) };
        assert_eq!((proof.source, proof.record), (id(NODE_A), record));
        assert!(key(NODE_A).public().verify(&digest, proof.signature));
        let cipher = Cipher::new(&keys.initiator);
        let text = cipher.open(&packet.nonce(), packet.head(), packet.message()).unwrap();
        assert_eq!(text, ping(1));
    }
}

#[test]
fn a_packet_for_another_node_is_foreign_to_this_one() {
    let bytes = hex::decode(PING).unwrap();
    let other = Mask::of(&id(NODE_A));
    assert_eq!(Unmasked::check(&other, &bytes).unwrap_err(), PacketError::Foreign);
    assert_eq!(format!("{other:?}"), "Mask(..)");
}

#[test]
fn sizes_are_checked_before_anything_else() {
    for size in [0, MIN_PACKET_SIZE - 1, MAX_PACKET_SIZE + 1] {
        let error = Unmasked::check(&mask(), &vec![0; size]).unwrap_err();
        assert_eq!(error, PacketError::Size { size });
    }
}

#[test]
fn a_header_whose_sizes_do_not_fit_is_malformed() {
    let nonce = [7; 12];
    let masked = |flag: u8, data: &[u8], stated: u16, rest: usize| {
        let mut bytes = Vec::new();
        write_head(&mut bytes, &[0; 16], flag, &nonce, &[data]);
        bytes[HEAD_SIZE - 2..HEAD_SIZE].copy_from_slice(&stated.to_be_bytes());
        mask().stream(&[0; 16]).apply_keystream(&mut bytes[IV_SIZE..]);
        bytes.extend_from_slice(&vec![0; rest]);
        bytes
    };
    for (flag, size, stated, rest, is_good) in [
        (0, 32, 32, 17, true),
        (0, 32, 32, 16, false),
        (0, 31, 31, 17, false),
        (0, 32, 0xffff, 40, false),
        (1, 24, 24, 0, true),
        (1, 24, 24, 1, false),
        (1, 25, 25, 0, false),
        (2, PROOF_SIZE, PROOF_SIZE, 17, true),
        (2, PROOF_SIZE + MAX_RECORD_SIZE, PROOF_SIZE + MAX_RECORD_SIZE, 17, true),
        (2, PROOF_SIZE + MAX_RECORD_SIZE + 1, PROOF_SIZE + MAX_RECORD_SIZE + 1, 17, false),
        (2, PROOF_SIZE - 1, PROOF_SIZE - 1, 18, false),
        (2, PROOF_SIZE, PROOF_SIZE, 16, false),
        (3, 32, 32, 17, false),
    ] {
        let mut data = vec![0; size];
        if flag == 2 {
            data[32..34].copy_from_slice(&[64, 33]);
        }
        let bytes = masked(flag, &data, stated as u16, rest);
        let result = Unmasked::check(&mask(), &bytes);
        match result {
            Ok(_) => assert!(is_good, "{flag} {size} {stated} {rest}"),
            Err(error) => {
                assert_eq!((error, is_good), (PacketError::Malformed { flag }, false));
            }
        }
    }
    // A scheme whose signatures or keys are of other sizes.
    let mut data = vec![0; PROOF_SIZE];
    data[32..34].copy_from_slice(&[65, 33]);
    let bytes = masked(2, &data, PROOF_SIZE as u16, 20);
    assert_eq!(Unmasked::check(&mask(), &bytes).unwrap_err(), PacketError::Malformed { flag: 2 });
}

#[test]
fn a_message_of_the_largest_size_fits() {
    let text = vec![1; MAX_MESSAGE_SIZE];
    let cipher = Cipher::new(&[1; 16]);
    let bytes = message(&mask(), &[5; 16], &[6; 12], &id(NODE_A), &cipher, &text);
    assert_eq!(bytes.len(), MAX_PACKET_SIZE);
    assert!(Unmasked::check(&mask(), &bytes).is_ok());
}

#[test]
fn a_probe_is_a_message_that_nobody_can_open() {
    let bytes = probe(&mask(), &[5; 16], &[6; 12], &id(NODE_A), &[7; 44]);
    let packet = Unmasked::check(&mask(), &bytes).unwrap();
    assert_eq!(packet.header(), Header::Message { source: id(NODE_A) });
    assert_eq!((packet.nonce(), packet.message()), ([6; 12], &[7; 44][..]));
}

#[test]
fn request_ids_have_up_to_8_bytes_and_keep_their_zeros() {
    for size in 0..=8 {
        let id = RequestId::new(&vec![0; size]).unwrap();
        let text = Message::Ping { id, seq: 1 }.encode();
        let Ok(Message::Ping { id: read, .. }) = Message::decode(&text) else { panic!("{size}") };
        assert_eq!(read.as_bytes(), vec![0; size]);
    }
    assert_eq!(RequestId::new(&[1; 9]), None);
    // [nine bytes, 1]
    let mut text = vec![1, 0xcb, 0x89];
    text.extend_from_slice(&[1; 9]);
    text.push(1);
    assert_eq!(Message::decode(&text), Err(MessageError::Malformed { kind: 1 }));
}

#[test]
fn distances_come_once_each_and_none_beyond_256() {
    let id = RequestId::new(&[1]).unwrap();
    let mut text = vec![3];
    with_list(&mut text, |list| {
        1_u8.encode(list);
        let distances = [256_u64, 0, 256, 257, 70_000, 240];
        with_list(list, |list| distances.iter().for_each(|it| it.encode(list)));
    });
    let read = Message::decode(&text).unwrap();
    assert_eq!(read, Message::FindNode { id, distances: vec![256, 0, 240] });
}

#[test]
fn more_elements_and_bytes_than_are_known_are_ignored_and_types_are_told() {
    // [1, 2, 3] and two bytes.
    let text = [1, 0xc3, 1, 2, 3, 9, 9];
    let id = RequestId::new(&[1]).unwrap();
    assert_eq!(Message::decode(&text), Ok(Message::Ping { id, seq: 2 }));
    assert_eq!(Message::decode(&[]), Err(MessageError::Malformed { kind: 0 }));
    for kind in [0, 7, 0xff] {
        assert_eq!(Message::decode(&[kind, 0xc0]), Err(MessageError::UnknownType { kind }));
    }
    // A number with a zero before it, and one cut off.
    for text in [&[1, 0xc3, 1, 0x82, 0][..], &[1, 0xc4, 1, 0x82, 0, 1], &[4, 0xc2, 1, 1]] {
        assert!(matches!(Message::decode(text), Err(MessageError::Malformed { .. })), "{text:?}");
    }
}

fn request_id() -> impl Strategy<Value = RequestId> {
    proptest::collection::vec(any::<u8>(), 0..=8).prop_map(|id| RequestId::new(&id).unwrap())
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        id in request_id(),
        seq: u64,
        addr in proptest::option::of((any::<std::net::Ipv4Addr>(), 1_u16..)),
        distances in proptest::sample::subsequence((0..=256_u16).collect::<Vec<_>>(), 0..20),
        one in proptest::collection::vec(any::<u8>(), 0..80),
        other in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let recipient = addr.map(SocketAddr::from);
        let records = vec![&[0xc2, 1, 2][..], &[0xc0]];
        for message in [
            Message::Ping { id, seq },
            Message::Pong { id, seq, recipient },
            Message::FindNode { id, distances },
            Message::Nodes { id, total: seq, records },
            Message::TalkRequest { id, protocol: &one, request: &other },
            Message::TalkResponse { id, response: &other },
        ] {
            let text = message.encode();
            prop_assert_eq!(Message::decode(&text), Ok(message));
        }
    }

    #[test]
    fn bytes_of_no_packet_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..1400)) {
        prop_assert!(Unmasked::check(&mask(), &bytes).is_err());
        let _ = Message::decode(&bytes);
    }
}
