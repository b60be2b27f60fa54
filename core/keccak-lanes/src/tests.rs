//! The permutation against its portable twin and the published values.

use proptest::prelude::*;

use super::*;

fn state(lanes: [u64; 25]) -> State {
    State { lanes }
}

#[test]
fn the_permutation_of_zero_is_the_published_one() {
    // KeccakF-1600-IntermediateValues.txt of the Keccak team: the first lanes after one
    // permutation and after two.
    let mut state = State::new();
    state.permute();
    assert_eq!(state.lanes()[..2], [0xf125_8f79_40e1_dde7, 0x84d5_ccf9_33c0_478a]);
    state.permute();
    assert_eq!(state.lanes()[..2], [0x2d5c_954d_f96e_cb3c, 0x6a33_2cd0_7057_b56d]);
}

fn lanes() -> impl Strategy<Value = [u64; 25]> {
    any::<[u64; 25]>()
}

proptest! {
    #[test]
    fn any_blocks_are_absorbed_as_by_the_portable_twin(
        lanes in lanes(),
        bytes in proptest::collection::vec(any::<u8>(), 0..1500),
    ) {
        let blocks = bytes.as_chunks().0;
        let (mut ours, mut twin) = (state(lanes), lanes);
        ours.absorb(blocks);
        permutation::portable(&mut twin, blocks);
        prop_assert_eq!(ours.lanes(), &twin);
    }

    #[test]
    fn several_states_are_permuted_as_one_by_one(several in proptest::collection::vec(lanes(), 0..9)) {
        let mut together: Vec<State> = several.iter().copied().map(state).collect();
        permute_all(&mut together.iter_mut().collect::<Vec<_>>());
        for (together, lanes) in together.iter().zip(several) {
            let mut alone = lanes;
            permutation::portable(&mut alone, &[[0; RATE]]);
            prop_assert_eq!(together.lanes(), &alone);
        }
    }

    #[test]
    fn bytes_get_where_they_belong(
        lanes in lanes(),
        at in 0..=RATE,
        bytes in proptest::collection::vec(any::<u8>(), RATE),
        length in 0..=RATE,
    ) {
        let bytes = &bytes[..length.min(RATE - at)];
        let mut state = state(lanes);
        state.xor(at, bytes);
        let mut expected: Vec<u8> = lanes.iter().flat_map(|lane| lane.to_le_bytes()).collect();
        for (place, byte) in expected[at..].iter_mut().zip(bytes) {
            *place ^= byte;
        }
        let found: Vec<u8> = state.lanes().iter().flat_map(|lane| lane.to_le_bytes()).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
#[should_panic(expected = "leave a block")]
fn what_leaves_a_block_is_refused() {
    State::new().xor(RATE - 1, &[1, 2]);
}
