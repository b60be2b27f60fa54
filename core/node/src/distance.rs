//! The metric of discovery: how far apart two node ids are, by exclusive or.
//!
//! Spec: [discv4, "Kademlia
//! table"](https://github.com/ethereum/devp2p/blob/master/discv4.md#node-identities).

use std::cmp::Ordering;

use crate::NodeId;

impl NodeId {
    /// The logarithmic distance: 256 less the number of leading bits in common; 0 for the same id.
    pub fn log_distance(&self, other: &Self) -> u16 {
        let mut distance = 256;
        for byte in self.xor(other) {
            // At most 8 for each of 32 bytes.
            distance -= u16::try_from(byte.leading_zeros()).expect("because a byte has eight bits");
            if byte != 0 {
                break;
            }
        }
        distance
    }

    /// Compares how far `a` and `b` are from this id: `Less` if `a` is closer.
    pub fn cmp_distance(&self, a: &Self, b: &Self) -> Ordering {
        self.xor(a).cmp(&self.xor(b))
    }

    fn xor(&self, other: &Self) -> [u8; 32] {
        std::array::from_fn(|i| self.0[i] ^ other.0[i])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(first: u8, last: u8) -> NodeId {
        let mut bytes = [0; 32];
        bytes[0] = first;
        bytes[31] = last;
        NodeId(bytes)
    }

    #[test]
    fn log_distance_is_the_place_of_the_first_bit_that_differs() {
        for (a, b, distance) in [
            (id(0, 0), id(0, 0), 0),
            (id(0, 0), id(0, 1), 1),
            (id(0, 0x80), id(0, 0), 8),
            (id(0x01, 0), id(0, 0xff), 249),
            (id(0x80, 0), id(0, 0), 256),
            (id(0xff, 0xff), id(0x7f, 0xff), 256),
        ] {
            assert_eq!(a.log_distance(&b), distance);
        }
    }

    proptest! {
        #[test]
        fn the_two_distances_agree(a: [u8; 32], b: [u8; 32], c: [u8; 32], common in 0usize..=32) {
            let (a, mut b, c) = (NodeId(a), NodeId(b), NodeId(c));
            b.0[..common].copy_from_slice(&a.0[..common]);
            prop_assert_eq!(a.log_distance(&b), b.log_distance(&a));
            if a.log_distance(&b) < a.log_distance(&c) {
                prop_assert_eq!(a.cmp_distance(&b, &c), Ordering::Less);
            }
            prop_assert_eq!(a.cmp_distance(&b, &c), a.cmp_distance(&c, &b).reverse());
            prop_assert_eq!(a.cmp_distance(&b, &c) == Ordering::Equal, b == c);
        }
    }
}
