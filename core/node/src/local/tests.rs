use proptest::prelude::*;

use super::*;

fn local(seq: u64) -> LocalRecord {
    LocalRecord::new(SecretKey::from_bytes(&[7; 32]).unwrap(), seq)
}

/// RLP of a string with `len` bytes (56 to 255).
fn blob(len: usize) -> Vec<u8> {
    alloy_rlp::encode(vec![0xaa; len].as_slice())
}

#[test]
fn the_published_record_is_made_byte_for_byte() {
    let secret =
        "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291".parse().unwrap();
    let mut local = LocalRecord::new(secret, 0);
    local.set_ip4(Some([127, 0, 0, 1].into())).unwrap();
    local.set_udp4(Some(30303)).unwrap();
    assert_eq!(
        local.record().to_string(),
        "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wB\
         gmlkgnY0gmlwhH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8"
    );
}

#[test]
fn the_record_of_go_ethereums_tests_is_made_byte_for_byte() {
    let secret =
        "45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8".parse().unwrap();
    let mut local = LocalRecord::new(secret, 98);
    local.set_ip4(Some([127, 0, 0, 1].into())).unwrap();
    local.set_udp4(Some(30303)).unwrap();
    assert_eq!(
        local.record().to_string(),
        "enr:-IS4QGrdq0ugARp5T2BZ41TrZOqLc_oKvZoPuZP5--anqWE_J-Tucc1xgkOL7qXl0puJgT7qc2KSvcupc4NCb0nr4tdj\
         gmlkgnY0gmlwhH8AAAGJc2VjcDI1NmsxoQM6UUF2Rm-oFe1IH_rQkRCi00T2ybeMHRSvw1HDpRvjPYN1ZHCCdl8"
    );
}

#[test]
fn everything_set_can_be_read_back() {
    let mut local = local(0);
    local.set_ip4(Some([1, 2, 3, 4].into())).unwrap();
    local.set_ip6(Some([0x20; 16].into())).unwrap();
    local.set_tcp4(Some(1)).unwrap();
    local.set_tcp6(Some(2)).unwrap();
    local.set_udp4(Some(3)).unwrap();
    local.set_udp6(Some(40000)).unwrap();
    local.set_attribute("eth", vec![0xc1, 0x05]).unwrap();
    let (public_key, id) = (*local.public_key(), local.id());
    let record = local.record();
    assert_eq!((record.public_key(), record.id()), (&public_key, id));
    assert_eq!(record.ip4(), Some([1, 2, 3, 4].into()));
    assert_eq!(record.ip6(), Some([0x20; 16].into()));
    assert_eq!((record.tcp4(), record.tcp6()), (Some(1), Some(2)));
    assert_eq!((record.udp4(), record.udp6()), (Some(3), Some(40000)));
    assert_eq!(record.get("eth"), Some([0xc1, 0x05].as_slice()));
}

#[test]
fn the_sequence_number_grows_once_per_change_that_is_seen() {
    let mut local = local(41);
    assert_eq!(local.record().seq(), 42, "the first record follows the one before the restart");
    assert_eq!(local.record().seq(), 42, "reading is no change");

    local.set_tcp4(Some(30303)).unwrap();
    local.set_udp4(Some(30303)).unwrap();
    assert_eq!(local.seq(), 42, "nothing is signed before it is read");
    assert_eq!(local.record().seq(), 43, "two changes make one new record");

    local.set_tcp4(Some(30303)).unwrap();
    local.set_ip6(None).unwrap();
    assert_eq!(local.record().seq(), 43, "the same value again is no change");

    local.set_tcp4(Some(1)).unwrap();
    local.set_tcp4(Some(30303)).unwrap();
    assert_eq!(local.record().seq(), 43, "there and back is no change");

    local.set_tcp4(Some(0)).unwrap();
    assert_eq!((local.record().tcp4(), local.seq()), (None, 44), "port 0 is none");

    local.set_attribute("eth", vec![0xc0]).unwrap();
    assert_eq!(local.record().seq(), 45);
    assert!(local.remove_attribute("eth") && !local.remove_attribute("eth"));
    assert_eq!((local.record().seq(), local.record().get("eth")), (46, None));
}

#[test]
fn the_last_sequence_number_does_not_end_the_node() {
    let mut local = local(u64::MAX);
    assert_eq!(local.record().seq(), u64::MAX);
    local.set_tcp4(Some(1)).unwrap();
    assert_eq!((local.record().tcp4(), local.seq()), (Some(1), u64::MAX));
}

#[test]
fn keys_with_a_fixed_meaning_are_not_attributes() {
    let mut local = local(0);
    let before = local.record().clone();
    for key in ["id", "secp256k1", "ip", "ip6", "tcp", "tcp6", "udp", "udp6"] {
        let error = Err(LocalRecordError::Reserved { key: key.into() });
        assert_eq!(local.set_attribute(key, vec![1]), error);
        assert_eq!(local.add_attribute(key, vec![1]), error);
        assert!(!local.remove_attribute(key));
    }
    assert_eq!(*local.record(), before);
}

#[test]
fn an_attribute_can_be_claimed_once_and_updated_often() {
    let mut local = local(0);
    local.add_attribute("eth", vec![1]).unwrap();
    let error = local.add_attribute("eth", vec![2]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the record attribute \"eth\" is set twice; give each protocol a name of its own"
    );
    assert_eq!(local.record().get("eth"), Some([1].as_slice()));
    local.set_attribute("eth", vec![2]).unwrap();
    assert_eq!(local.record().get("eth"), Some([2].as_slice()));
}

#[test]
fn values_that_are_not_one_rlp_item_are_refused() {
    let mut local = local(0);
    for value in [&[][..], &[1, 2], &[0x81, 1], &[0x82, 1], &[0xc2, 1], &[0xb8, 1, 0x80]] {
        let error = Err(LocalRecordError::NotRlp { key: "x".into() });
        assert_eq!(local.set_attribute("x", value.to_vec()), error);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut local = local(0);
    local.set_ip4(Some([1, 2, 3, 4].into())).unwrap();
    local.set_attribute("x", vec![7]).unwrap();
    let before = local.record().clone();

    let error = local.set_attribute("x", blob(250)).unwrap_err();
    assert!(matches!(error, LocalRecordError::TooBig { size: 301.., .. }), "{error}");
    assert!(local.set_attribute("y", blob(250)).is_err());
    assert!(local.set_attribute(&"k".repeat(1000), vec![1]).is_err());
    assert_eq!(*local.record(), before);
}

#[test]
fn a_record_can_be_filled_to_the_last_byte_and_still_change() {
    let mut local = local(253);
    let len = (56..250).rev().find(|len| local.set_attribute("x", blob(*len)).is_ok()).unwrap();
    assert_eq!(local.record().as_rlp().len(), MAX_RECORD_SIZE);
    assert_eq!(local.seq(), 254);
    local.set_ip4(Some([1, 2, 3, 4].into())).unwrap_err();
    // With number 256 the record will take a byte more: what fits now would not fit then.
    local.set_attribute("x", alloy_rlp::encode(vec![0xbb; len].as_slice())).unwrap();
    assert_eq!((local.record().as_rlp().len(), local.seq()), (MAX_RECORD_SIZE, 255));
    local.set_attribute("x", blob(len)).unwrap_err();
    local.set_attribute("x", blob(len - 1)).unwrap();
    assert_eq!((local.record().as_rlp().len(), local.seq()), (MAX_RECORD_SIZE, 256));
}

#[test]
fn debug_shows_no_secret() {
    let local = local(5);
    assert_eq!(format!("{local:?}"), format!("LocalRecord {{ id: {:?}, seq: 5, .. }}", local.id()));
}

#[derive(Clone, Debug)]
enum Operation {
    Ip4(Option<[u8; 4]>),
    Ip6(Option<[u8; 16]>),
    Port(u8, Option<u16>),
    Set(u8, Vec<u8>),
    Remove(u8),
    Read,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        (0usize..260).prop_map(|len| alloy_rlp::encode(vec![9u8; len].as_slice())),
    ];
    let operation = prop_oneof![
        any::<Option<[u8; 4]>>().prop_map(Operation::Ip4),
        any::<Option<[u8; 16]>>().prop_map(Operation::Ip6),
        (0u8..4, any::<Option<u16>>()).prop_map(|(which, port)| Operation::Port(which, port)),
        (0u8..6, value).prop_map(|(key, value)| Operation::Set(key, value)),
        (0u8..6).prop_map(Operation::Remove),
        Just(Operation::Read),
    ];
    prop::collection::vec(operation, 1..40)
}

proptest! {
    /// Whatever is set in whatever order: no panic, numbers only grow, every record is valid, and
    /// two records with one number are the same.
    #[test]
    fn no_order_of_changes_makes_a_bad_record(seq in 0u64..300, operations in operations()) {
        const KEYS: [&str; 6] = ["", "a", "eth", "ip", "udp5", "zzzzzzzzzzzzzzzz"];
        let mut local = local(seq);
        let mut last = local.record().clone();
        for operation in operations {
            let _ = match operation {
                Operation::Ip4(ip) => local.set_ip4(ip.map(Into::into)),
                Operation::Ip6(ip) => local.set_ip6(ip.map(Into::into)),
                Operation::Port(0, port) => local.set_tcp4(port),
                Operation::Port(1, port) => local.set_tcp6(port),
                Operation::Port(2, port) => local.set_udp4(port),
                Operation::Port(_, port) => local.set_udp6(port),
                Operation::Set(key, value) => local.set_attribute(KEYS[usize::from(key)], value),
                Operation::Remove(key) => {
                    local.remove_attribute(KEYS[usize::from(key)]);
                    Ok(())
                }
                Operation::Read => {
                    let record = local.record().clone();
                    prop_assert!(record == last || record.seq() == last.seq() + 1);
                    prop_assert_eq!(Record::decode(record.as_rlp()), Ok(record.clone()));
                    last = record;
                    Ok(())
                }
            };
        }
        local.record();
    }
}
