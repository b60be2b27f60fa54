use proptest::prelude::*;

use super::*;

fn some_class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Unanswered), Just(Class::Answered), Just(Class::Seed)]
}

fn some_rank() -> impl Strategy<Value = Rank> {
    (some_class(), any::<u64>(), any::<[u8; 32]>()).prop_map(|(class, time, id)| Rank {
        class,
        time,
        id: NodeId(id),
    })
}

fn some_row() -> impl Strategy<Value = Row> {
    let form = prop_oneof![
        (any::<u64>(), prop::collection::vec(any::<u8>(), 0..=300))
            .prop_map(|(seq, rlp)| Form::Record { seq, rlp: rlp.into() }),
        ".{0,40}".prop_map(|url| Form::Url(url.into())),
    ];
    let ip = || any::<IpAddr>().prop_map(|ip| ip.to_canonical());
    let moved = prop::option::of((ip(), any::<u16>()).prop_map(SocketAddr::from));
    let stated =
        (form, prop::collection::vec(ip(), 0..=2), moved).prop_map(|(form, ips, moved)| {
            let ips = ips.into_iter().collect();
            Stated::Written(Box::new(Written { form, ips, moved }))
        });
    let spot = (ip(), any::<u64>(), any::<u64>(), any::<u32>())
        .prop_map(|(ip, ping, pong, failures)| Spot { ip, ping, pong, failures });
    let contacts = prop::collection::vec(spot, 0..=MAX_CONTACTS);
    (any::<u64>(), prop::option::of(stated), contacts).prop_map(|(heard, stated, contacts)| Row {
        heard,
        stated,
        contacts,
    })
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_as_it_was(row in some_row()) {
        prop_assert_eq!(Row::decode(&row.encode()), Some(row));
    }

    #[test]
    fn a_row_that_was_cut_short_or_changed_is_none_or_another(
        row in some_row(),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut bytes = row.encode();
        let at = at.index(bytes.len());
        prop_assert_ne!(Row::decode(&bytes[..at]), Some(row));
        bytes[at] = byte;
        // Whatever it reads, it does not panic, nor read on to the node.
        if let Some(row) = Row::decode(&bytes) {
            let _ = (row.known(), row.rank(NodeId([0; 32])));
        }
    }

    #[test]
    fn any_bytes_are_a_row_or_none(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Some(row) = Row::decode(&bytes) {
            prop_assert_eq!(Row::decode(&row.encode()), Some(row));
        }
    }

    #[test]
    fn bytes_of_ranks_are_in_the_order_of_ranks(a in some_rank(), b in some_rank()) {
        prop_assert_eq!(a.to_bytes().cmp(&b.to_bytes()), a.cmp(&b));
        prop_assert_eq!(Rank::from_bytes(&a.to_bytes()), Some(a));
    }
}

#[test]
fn bytes_of_no_class_are_no_rank() {
    assert_eq!(Rank::from_bytes(&[3; Rank::SIZE]), None);
}
