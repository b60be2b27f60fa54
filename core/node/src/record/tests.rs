use std::slice::from_ref;

use proptest::prelude::*;

use super::*;
use crate::SecretKey;

/// The example of EIP-778, made by its Python implementation, as bytes and as text.
const EXAMPLE: &str = "f884b8407098ad865b00a582051940cb9cf36836572411a47278783077011599ed5cd16b76f2635f4e234738f3\
    0813a89eb9137e3e3df5266e3a1f11df72ecf1145ccb9c01826964827634826970847f00000189736563703235366b31\
    a103ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31388375647082765f";
const EXAMPLE_TEXT: &str = "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRc\
    y5wBgmlkgnY0gmlwhH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8";

/// A pair: key as bytes, value in RLP.
type Pair = (&'static [u8], Vec<u8>);

fn example() -> Vec<u8> {
    hex::decode(EXAMPLE).unwrap()
}

fn secret() -> SecretKey {
    SecretKey::from_bytes(&[7; 32]).unwrap()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    alloy_rlp::encode(bytes)
}

fn id() -> Pair {
    (b"id", text(b"v4"))
}

fn public_key() -> Pair {
    (b"secp256k1", text(&secret().public().to_compressed()))
}

/// What is signed: sequence number and pairs, as they come.
fn content(seq: u64, pairs: &[Pair]) -> Vec<u8> {
    let mut content = alloy_rlp::encode(seq);
    for (key, value) in pairs {
        key.encode(&mut content);
        content.extend_from_slice(value);
    }
    content
}

/// A record of that, with a signature that fits.
fn signed(seq: u64, pairs: &[Pair]) -> Vec<u8> {
    signed_content(&content(seq, pairs))
}

fn signed_content(content: &[u8]) -> Vec<u8> {
    assemble(&scheme::sign(&secret(), content), content)
}

#[test]
fn the_record_of_the_python_implementation_reads_as_published() {
    let record = Record::decode(&example()).unwrap();
    assert_eq!(
        record.id().to_string(),
        "a448f24c6d18e575453db13171562b71999873db5b286df957af199ec94617f7"
    );
    assert_eq!(record.public_key().id(), record.id());
    assert_eq!(record.seq(), 1);
    assert_eq!(record.ip4(), Some([127, 0, 0, 1].into()));
    assert_eq!(record.udp4(), Some(30303));
    assert_eq!((record.ip6(), record.tcp4()), (None, None));
    assert_eq!((record.tcp6(), record.udp6()), (None, None));
    assert_eq!(record.get("ip"), Some([0x84, 127, 0, 0, 1].as_slice()));
    assert_eq!(record.get("eth"), None);
    let keys: Vec<_> = record.entries().map(|(key, _)| key).collect();
    assert_eq!(keys, [b"id".as_slice(), b"ip", b"secp256k1", b"udp"]);
}

#[test]
fn bytes_and_text_of_the_published_record_round_trip() {
    let record = Record::decode(&example()).unwrap();
    assert_eq!(record.encode(), example());
    assert_eq!(record.as_rlp(), example());
    assert_eq!(record.to_string(), EXAMPLE_TEXT);
    assert_eq!(EXAMPLE_TEXT.parse(), Ok(record.clone()));
    assert_eq!(format!("{record:?}"), format!("Record({EXAMPLE_TEXT})"));
}

#[test]
fn both_families_and_all_four_ports_are_read() {
    let record = Record::decode(&signed(
        u64::MAX,
        &[
            id(),
            (b"ip", text(&[1, 2, 3, 4])),
            (b"ip6", text(&[0x20; 16])),
            public_key(),
            (b"tcp", alloy_rlp::encode(1u16)),
            (b"tcp6", alloy_rlp::encode(2000u16)),
            (b"udp", alloy_rlp::encode(65535u16)),
            (b"udp6", alloy_rlp::encode(300u16)),
        ],
    ))
    .unwrap();
    assert_eq!(record.seq(), u64::MAX);
    assert_eq!(record.ip4(), Some([1, 2, 3, 4].into()));
    assert_eq!(record.ip6(), Some([0x20; 16].into()));
    assert_eq!((record.tcp4(), record.tcp6()), (Some(1), Some(2000)));
    assert_eq!((record.udp4(), record.udp6()), (Some(65535), Some(300)));
}

#[test]
fn known_keys_with_unexpected_values_read_as_absent() {
    let record = Record::decode(&signed(
        1,
        &[
            id(),
            (b"ip", text(&[1; 16])),
            (b"ip6", text(&[1; 4])),
            public_key(),
            // 65536
            (b"tcp", text(&[1, 0, 0])),
            // No port.
            (b"tcp6", alloy_rlp::encode(0u16)),
            // An empty list.
            (b"udp", vec![0xc0]),
            // A leading zero.
            (b"udp6", text(&[0, 1])),
        ],
    ))
    .unwrap();
    assert_eq!((record.ip4(), record.ip6()), (None, None));
    assert_eq!((record.tcp4(), record.tcp6()), (None, None));
    assert_eq!((record.udp4(), record.udp6()), (None, None));
    assert_eq!(record.entries().count(), 8);
}

#[test]
fn a_rightly_signed_record_of_the_wrong_form_is_refused() {
    let (id, key) = (id(), public_key());
    let mut uncompressed = vec![4];
    uncompressed.extend(secret().public().to_bytes());
    // Each with what is wrong about it.
    let cases: Vec<(Vec<u8>, RecordError)> = vec![
        // No identity scheme, another one, one in a list.
        (signed(1, from_ref(&key)), RecordError::Scheme),
        (signed(1, &[(b"id", text(b"v5")), key.clone()]), RecordError::Scheme),
        (signed(1, &[(b"id", vec![0xc2, b'v', b'4']), key.clone()]), RecordError::Scheme),
        // No key; not compressed; not on the curve; in a list.
        (signed(1, from_ref(&id)), RecordError::PublicKey),
        (signed(1, &[id.clone(), (b"secp256k1", text(&uncompressed))]), RecordError::PublicKey),
        (signed(1, &[id.clone(), (b"secp256k1", text(&[2; 32]))]), RecordError::PublicKey),
        (signed(1, &[id.clone(), (b"secp256k1", text(&[5; 33]))]), RecordError::PublicKey),
        (signed(1, &[id.clone(), (b"secp256k1", vec![0xc0])]), RecordError::PublicKey),
        // Keys out of order or twice, adjacent or not; a prefix sorts first.
        (signed(1, &[key.clone(), id.clone()]), RecordError::UnsortedKeys),
        (
            signed(1, &[id.clone(), (b"ip6", text(&[1; 16])), (b"ip", text(&[1; 4])), key.clone()]),
            RecordError::UnsortedKeys,
        ),
        (signed(1, &[id.clone(), id.clone(), key.clone()]), RecordError::DuplicateKey),
        (signed(1, &[id.clone(), key.clone(), key.clone()]), RecordError::DuplicateKey),
        (signed(1, &[id.clone(), key.clone(), id.clone()]), RecordError::UnsortedKeys),
        // A key in a list; a key without value; values that are not canonical or too short.
        (signed(1, &[id.clone(), key.clone(), (b"z", vec![])]), RecordError::MissingValue),
        (signed_content(&[1, 0xc1, b'a', 1]), RecordError::Rlp),
        (signed(1, &[id.clone(), key.clone(), (b"z", vec![0x81, 1])]), RecordError::Rlp),
        (signed(1, &[id.clone(), key.clone(), (b"z", vec![0xb8, 1, 0x80])]), RecordError::Rlp),
        (signed(1, &[id.clone(), key.clone(), (b"z", vec![0x83, 1, 2])]), RecordError::Rlp),
        (signed(1, &[id.clone(), key.clone(), (b"z", vec![0xbf; 9])]), RecordError::Rlp),
        (signed(1, &[id.clone(), key.clone(), (b"z", vec![0xff; 9])]), RecordError::Rlp),
        // A sequence number that is missing, with leading zero, of nine bytes, in a list.
        (signed_content(&[]), RecordError::Rlp),
        (signed_content(&[0x00]), RecordError::Rlp),
        (signed_content(&text(&[1; 9])), RecordError::Rlp),
        (signed_content(&[0xc1, 1]), RecordError::Rlp),
        // No list; an empty one; no bytes; a list where the signature should be.
        (text(b"record"), RecordError::Rlp),
        (vec![0xc0], RecordError::Rlp),
        (vec![], RecordError::Rlp),
        (vec![0xc2, 0xc0, 1], RecordError::Rlp),
    ];
    for (rlp, error) in cases {
        assert_eq!(Record::decode(&rlp), Err(error), "{}", hex::encode(rlp));
    }
}

#[test]
fn a_signature_must_have_64_bytes_and_be_the_nodes_own() {
    let content = content(1, &[id(), public_key()]);
    let ours = scheme::sign(&secret(), &content);
    assert!(Record::decode(&assemble(&ours, &content)).is_ok());

    let other = scheme::sign(&SecretKey::from_bytes(&[8; 32]).unwrap(), &content);
    assert_eq!(Record::decode(&assemble(&other, &content)), Err(RecordError::Signature));

    for signature in [&ours[..63], &[], &[&ours[..], &[0]].concat()] {
        let payload = [text(signature), content.clone()].concat();
        let mut rlp = Vec::new();
        Header { list: true, payload_length: payload.len() }.encode(&mut rlp);
        rlp.extend(payload);
        assert_eq!(Record::decode(&rlp), Err(RecordError::Signature));
    }
}

#[test]
fn the_other_signature_that_would_fit_is_refused() {
    // For (r, s), (r, n - s) is valid too in plain ECDSA: one record would have two encodings.
    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let order = hex::decode(ORDER).unwrap();
    let mut rlp = example();
    let s = &mut rlp[4 + 32..4 + 64];
    let mut borrow = 0i16;
    for i in (0..32).rev() {
        let difference = i16::from(order[i]) - i16::from(s[i]) - borrow;
        borrow = i16::from(difference < 0);
        s[i] = difference.rem_euclid(256) as u8;
    }
    assert_eq!(Record::decode(&rlp), Err(RecordError::Signature));
}

#[test]
fn three_hundred_bytes_are_a_record_and_one_more_is_not() {
    let record_of = |filler| signed(1, &[id(), public_key(), (b"z", text(&vec![1; filler]))]);
    let filler = (56..300).find(|filler| record_of(*filler).len() == MAX_RECORD_SIZE).unwrap();
    assert!(Record::decode(&record_of(filler)).is_ok());
    assert_eq!(Record::decode(&record_of(filler + 1)), Err(RecordError::TooBig));
    let text = Record::decode(&record_of(filler)).unwrap().to_string();
    assert!(text.parse::<Record>().is_ok());
    assert_eq!(format!("{text}A").parse::<Record>(), Err(RecordError::TooBig));
}

#[test]
fn values_may_be_lists() {
    let eth = vec![0xc5, 0x84, 1, 1, 1, 1];
    let record = Record::decode(&signed(1, &[(b"eth", eth.clone()), id(), public_key()])).unwrap();
    assert_eq!(record.get("eth"), Some(eth.as_slice()));
}

#[test]
fn text_that_is_no_record_is_refused_with_the_reason() {
    for (text, error) in [
        ("", RecordError::TextPrefix),
        ("-IS4QHCY", RecordError::TextPrefix),
        ("enr:", RecordError::Rlp),
        ("enr:x", RecordError::Base64),
        ("enr:-IS4QHCY==", RecordError::Base64),
        ("enr:+IS4QHCY", RecordError::Base64),
        // A signature of six bytes, from go-ethereum's tests.
        (
            "enr:-EmGZm9vYmFyY4JpZIJ2NIJpcIR_AAABiXNlY3AyNTZrMaEDOlFBdkZvqBXtSB_60JEQotNE9sm3jB0Ur8NRw6Ub4z2DdWRwgnZf",
            RecordError::Signature,
        ),
    ] {
        assert_eq!(text.parse::<Record>(), Err(error), "{text}");
    }
}

#[test]
fn cut_or_extended_records_are_refused() {
    let rlp = example();
    for length in 0..rlp.len() {
        assert_eq!(Record::decode(&rlp[..length]), Err(RecordError::Rlp));
    }
    assert_eq!(Record::decode(&[&rlp[..], &[0]].concat()), Err(RecordError::TrailingBytes));
}

#[test]
fn a_record_with_any_bit_flipped_is_refused() {
    let rlp = example();
    for bit in 0..rlp.len() * 8 {
        let mut flipped = rlp.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Record::decode(&flipped).is_err(), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Record::decode(&bytes);
    }

    /// Content behind a right signature reaches every line of the decoder.
    #[test]
    fn no_signed_content_panics(content in prop::collection::vec(any::<u8>(), 0..230)) {
        let _ = Record::decode(&signed_content(&content));
    }

    #[test]
    fn no_text_panics(text in "(enr:)?[A-Za-z0-9_-]{0,420}|enr:\\PC{0,20}") {
        let _ = text.parse::<Record>();
    }
}
