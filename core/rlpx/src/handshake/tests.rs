//! The handshake against the vectors of EIP-8, against itself, and against hostile packets.

use proptest::prelude::*;

use super::*;
use crate::{ecies, mac::Sponge};

/// The values that the EIP-8 vectors were made with: A is the initiator, B the recipient.
struct Vectors {
    a: SecretKey,
    b: SecretKey,
    ephemeral_a: EphemeralKey,
    ephemeral_b: EphemeralKey,
    nonce_a: [u8; 32],
    nonce_b: [u8; 32],
}

fn vectors() -> Vectors {
    let bytes = |text: &str| hex::decode(text).unwrap().try_into().unwrap();
    let key = |text: &str| text.parse().unwrap();
    let ephemeral = |text: &str| EphemeralKey::from_bytes(&bytes(text)).unwrap();
    Vectors {
        a: key("49a7b37aa6f6645917e7b807e9d1c00d4fa71f18343b0d4122a4d2df64dd6fee"),
        b: key("b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291"),
        ephemeral_a: ephemeral("869d6ecf5211f1cc60418a13b9d870b22959d0c16f02bec714c960dd2298a32d"),
        ephemeral_b: ephemeral("e238eb8e04fee6511ab04c6dd3c89ce097b11f25d584863ac2b6d5b35b1847e4"),
        nonce_a: bytes("7e968bba13b6c50e2c4cd7f241cc0d64d1ac25c7f5952df231ac6a2bda8ee5d6"),
        nonce_b: bytes("559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd"),
    }
}

fn packet(lines: &str) -> Vec<u8> {
    hex::decode(lines.split_whitespace().collect::<String>()).unwrap()
}

/// Version 4 without additional elements.
fn auth2() -> Vec<u8> {
    packet(include_str!("vectors/auth2.hex"))
}

/// Version 56 with 3 additional elements.
fn auth3() -> Vec<u8> {
    packet(include_str!("vectors/auth3.hex"))
}

/// Version 4 without additional elements.
fn ack2() -> Vec<u8> {
    packet(include_str!("vectors/ack2.hex"))
}

/// Version 57 with 3 additional elements.
fn ack3() -> Vec<u8> {
    packet(include_str!("vectors/ack3.hex"))
}

fn random() -> Random {
    Random::from_seed([1; 32])
}

#[test]
fn the_auths_of_eip_8_are_read() {
    let v = vectors();
    for auth in [auth2(), auth3()] {
        let auth = Auth::decode(&v.b, &auth).unwrap();
        assert_eq!(auth.remote, *v.a.public());
        assert_eq!(auth.nonce, v.nonce_a);
        let digest = xor(&v.b.agree(v.a.public()), &v.nonce_a);
        assert_eq!(auth.signature.recover(&digest), Ok(v.ephemeral_a.public()));
    }
}

#[test]
fn the_acks_of_eip_8_are_read() {
    let v = vectors();
    for ack in [ack2(), ack3()] {
        let ack = Ack::decode(&v.a, &ack).unwrap();
        assert_eq!(ack.ephemeral, v.ephemeral_b.public());
        assert_eq!(ack.nonce, v.nonce_b);
    }
}

#[test]
fn the_secrets_of_eip_8_are_derived_by_both_ends() {
    let v = vectors();
    let (auth, ack) = (auth2(), ack2());
    let shared = v.ephemeral_b.agree(&v.ephemeral_a.public());
    let initiator = secrets::End { nonce: &v.nonce_a, packet: &auth };
    let recipient = secrets::End { nonce: &v.nonce_b, packet: &ack };
    let b = Secrets::of_recipient(&shared, &initiator, &recipient);
    // A ends the handshake as it would on a connection.
    let a = Initiator { ephemeral: v.ephemeral_a, nonce: v.nonce_a, auth: auth.clone() }
        .finish(&v.a, &ack)
        .unwrap();

    for secrets in [&a, &b] {
        assert_eq!(
            hex::encode(secrets.aes),
            "80e8632c05fed6fc2a13b0f8d31a3cf645366239170ea067065aba8e28bac487"
        );
        assert_eq!(
            hex::encode(secrets.mac),
            "2ea74ec5dae199227dff1af715362700e989d889d7a493cb0639691efb8e5f98"
        );
    }
    let foo = |sponge: &Sponge| {
        let mut sponge = sponge.clone();
        sponge.absorb(b"foo");
        hex::encode(sponge.whole_digest())
    };
    let expected = "0c7ec6340062cc46f5e9f1e3cf86f8c8c403c5a0964f5df0ebd34a75ddc86db5";
    assert_eq!(foo(&b.ingress), expected);
    assert_eq!(foo(&a.egress), expected);
    assert_eq!(foo(&b.egress), foo(&a.ingress));
}

#[test]
fn the_recipient_answers_the_auths_of_eip_8() {
    for auth in [auth2(), auth3()] {
        let v = vectors();
        let accepted = accept_with(&v.b, &auth, &v.ephemeral_b, v.nonce_b, &mut random()).unwrap();
        assert_eq!(accepted.remote, *v.a.public());
        let a = Initiator { ephemeral: v.ephemeral_a, nonce: v.nonce_a, auth }
            .finish(&v.a, &accepted.ack)
            .unwrap();
        assert_eq!((a.aes, a.mac), (accepted.secrets.aes, accepted.secrets.mac));
    }
}

/// The two ends of a finished handshake.
fn pair(seed: [u8; 32]) -> (Secrets, Secrets) {
    let mut random = Random::from_seed(seed);
    let a = SecretKey::generate(&mut random);
    let b = SecretKey::generate(&mut random);
    let (initiator, auth) = Initiator::start(&a, b.public(), &mut random);
    assert_eq!(packet_size([auth[0], auth[1]]), Ok(auth.len() - 2));
    let accepted = accept(&b, &auth, &mut random).unwrap();
    assert_eq!(accepted.remote, *a.public());
    assert_eq!(packet_size([accepted.ack[0], accepted.ack[1]]), Ok(accepted.ack.len() - 2));
    (initiator.finish(&a, &accepted.ack).unwrap(), accepted.secrets)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn both_ends_derive_the_same_secrets(seed: [u8; 32]) {
        let (a, b) = pair(seed);
        prop_assert_eq!((a.aes, a.mac), (b.aes, b.mac));
        let digest = Sponge::whole_digest;
        prop_assert_eq!(digest(&a.egress), digest(&b.ingress));
        prop_assert_eq!(digest(&a.ingress), digest(&b.egress));
        prop_assert_ne!(a.aes, a.mac);
    }

    #[test]
    fn no_bytes_make_either_end_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..2100)) {
        let v = vectors();
        prop_assert!(accept(&v.b, &bytes, &mut random()).is_err());
        if let Some(size) = bytes.len().checked_sub(2).and_then(|size| u16::try_from(size).ok()) {
            bytes[..2].copy_from_slice(&size.to_be_bytes());
        }
        prop_assert!(accept(&v.b, &bytes, &mut random()).is_err());
        prop_assert!(Ack::decode(&v.a, &bytes).is_err());
    }

    #[test]
    fn no_list_that_is_well_encrypted_makes_the_recipient_panic(
        body in prop::collection::vec(any::<u8>(), 102..1000),
    ) {
        let v = vectors();
        let _ = accept(&v.b, &encrypted(&v.b, &body), &mut random());
        let _ = Ack::decode(&v.b, &encrypted(&v.b, &body));
    }
}

#[test]
fn the_same_seed_makes_the_same_packets_and_another_seed_other_ones() {
    let v = vectors();
    let auth = |seed| Initiator::start(&v.a, v.b.public(), &mut Random::from_seed(seed)).1;
    assert_eq!(auth([1; 32]), auth([1; 32]));
    assert_ne!(auth([1; 32]), auth([2; 32]));
}

#[test]
fn packet_sizes_vary_and_fit_everybodys_limits() {
    let v = vectors();
    let mut random = random();
    let sizes: std::collections::BTreeSet<usize> =
        (0..50).map(|_| Initiator::start(&v.a, v.b.public(), &mut random).1.len()).collect();
    assert!(sizes.len() > 10, "{sizes:?}");
    // Above 307 bytes an auth cannot be taken for the form before EIP-8.
    assert!(*sizes.first().unwrap() > 307 && *sizes.last().unwrap() < 1024, "{sizes:?}");
}

#[test]
fn a_size_prefix_out_of_bounds_is_refused() {
    let size = |size: u16| packet_size(size.to_be_bytes());
    for (bytes, good) in [(0, false), (214, false), (215, true), (2048, true), (2049, false)] {
        let expected = usize::from(bytes);
        if good {
            assert_eq!(size(bytes), Ok(expected));
        } else {
            assert_eq!(size(bytes), Err(PeerMisbehaved::HandshakeSize(expected)));
        }
    }
    assert_eq!(size(u16::MAX), Err(PeerMisbehaved::HandshakeSize(65535)));
}

#[test]
fn every_truncation_is_refused() {
    let v = vectors();
    let auth = auth2();
    for length in 0..auth.len() {
        let expected = length.checked_sub(2).unwrap_or(length);
        assert_eq!(
            accept(&v.b, &auth[..length], &mut random()).unwrap_err(),
            PeerMisbehaved::HandshakeSize(expected)
        );
    }
}

#[test]
fn the_size_prefix_is_authenticated() {
    let v = vectors();
    let mut auth = auth2();
    auth.push(0);
    let size = u16::try_from(auth.len() - 2).unwrap();
    auth[..2].copy_from_slice(&size.to_be_bytes());
    assert_eq!(accept(&v.b, &auth, &mut random()).unwrap_err(), PeerMisbehaved::BadHandshake);
}

#[test]
fn a_tampered_or_misdirected_auth_is_refused() {
    let v = vectors();
    let mut auth = auth2();
    assert_eq!(accept(&v.a, &auth, &mut random()).unwrap_err(), PeerMisbehaved::BadHandshake);
    auth[100] ^= 1;
    assert_eq!(accept(&v.b, &auth, &mut random()).unwrap_err(), PeerMisbehaved::BadHandshake);
}

#[test]
fn an_ephemeral_point_off_the_curve_is_named() {
    let v = vectors();
    let mut auth = auth2();
    auth[3..67].fill(1);
    assert_eq!(accept(&v.b, &auth, &mut random()).unwrap_err(), PeerMisbehaved::NotOnCurve);
}

/// `body`, well encrypted to `key`.
fn encrypted(key: &SecretKey, body: &[u8]) -> Vec<u8> {
    let size = u16::try_from(ecies::OVERHEAD + body.len()).unwrap();
    let mut packet = size.to_be_bytes().to_vec();
    ecies::encrypt(key, key.public(), body, &mut packet, &mut random());
    packet
}

/// A list of these strings, well encrypted to `key`, padded to what a packet must have.
fn packet_of(key: &SecretKey, fields: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    alloy_rlp::encode_list::<_, [u8]>(fields, &mut body);
    body.resize(body.len() + 200, 0xaa);
    encrypted(key, &body)
}

#[test]
fn what_is_encrypted_well_but_says_nonsense_is_refused() {
    let v = vectors();
    let (point, nonce) = (v.a.public().to_bytes(), [7; 32]);
    let signature = v.ephemeral_a.sign(&xor(&v.a.agree(v.b.public()), &nonce)).to_bytes();
    let bad_id = {
        let mut s = signature;
        s[64] = 4;
        s
    };
    // A missing version and one that is no number are nobody's business.
    let good: [&[&[u8]]; 2] =
        [&[&signature, &point, &nonce], &[&signature, &point, &nonce, &[0; 40]]];
    for fields in good {
        assert!(accept(&v.b, &packet_of(&v.b, fields), &mut random()).is_ok());
    }
    let bad: [(&str, &[&[u8]]); 8] = [
        ("empty", &[]),
        ("no nonce", &[&signature, &point]),
        ("a short nonce", &[&signature, &point, &nonce[1..]]),
        ("a long nonce", &[&signature, &point, &[7; 33]]),
        ("a short signature", &[&signature[1..], &point, &nonce]),
        ("a short key", &[&signature, &point[1..], &nonce]),
        ("a recovery id of 4", &[&bad_id, &point, &nonce]),
        ("a signature of zeros", &[&[0; 65], &point, &nonce]),
    ];
    for (what, fields) in bad {
        let fault = accept(&v.b, &packet_of(&v.b, fields), &mut random()).unwrap_err();
        assert_eq!(fault, PeerMisbehaved::BadHandshake, "{what}");
    }
    let off_curve = packet_of(&v.b, &[&signature, &[1; 64], &nonce]);
    assert_eq!(accept(&v.b, &off_curve, &mut random()).unwrap_err(), PeerMisbehaved::NotOnCurve);
    let not_a_list = encrypted(&v.b, &[0x80; 200]);
    assert_eq!(accept(&v.b, &not_a_list, &mut random()).unwrap_err(), PeerMisbehaved::BadHandshake);
}

#[test]
fn an_auth_can_name_a_key_that_its_sender_does_not_have() {
    // Why `Accepted::remote` is a claim: this signature was made by nobody.
    let v = vectors();
    let named = (0..=u8::MAX).filter(|byte| {
        let signature = [&[1; 32][..], &[*byte; 32], &[0]].concat();
        let auth = packet_of(&v.b, &[&signature, &v.a.public().to_bytes(), &[7; 32]]);
        accept(&v.b, &auth, &mut random()).is_ok_and(|accepted| accepted.remote == *v.a.public())
    });
    assert!(named.count() > 0);
}

#[test]
fn an_ack_with_a_key_off_the_curve_is_named() {
    let v = vectors();
    let ack = packet_of(&v.a, &[&[1; 64], &[7; 32]]);
    let initiator = Initiator { ephemeral: v.ephemeral_a, nonce: v.nonce_a, auth: auth2() };
    assert_eq!(initiator.finish(&v.a, &ack).unwrap_err(), PeerMisbehaved::NotOnCurve);
}

#[test]
fn debug_never_shows_a_secret() {
    let v = vectors();
    let accepted = accept(&v.b, &auth2(), &mut random()).unwrap();
    assert!(format!("{accepted:?}").contains("secrets: Secrets(..)"));
    let (initiator, _) = Initiator::start(&v.a, v.b.public(), &mut random());
    assert_eq!(format!("{initiator:?}"), "Initiator(..)");
}

#[test]
fn a_stand_in_signature_is_refused_though_all_else_is_right() {
    let v = vectors();
    let (point, nonce) = (v.a.public().to_bytes(), [7; 32]);
    let liar = SecretKey::stand_in_from_bytes(&v.a.to_bytes()).unwrap();
    let signature = liar.sign(&xor(&v.a.agree(v.b.public()), &nonce)).to_bytes();
    let fault = accept(&v.b, &packet_of(&v.b, &[&signature, &point, &nonce]), &mut random());
    assert_eq!(fault.unwrap_err(), PeerMisbehaved::BadHandshake);
}
