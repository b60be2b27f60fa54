//! Which code permutes: assembly, or portable Rust.

use crate::RATE;

/// Whether the assembly that was built keeps the lanes of a state in their order in memory. The
/// code for AVX-512 and that for 32-bit processors do not, and a state of theirs could not be
/// read.
const IS_PLAIN: bool =
    is(sha3_asm::IMPL, "keccak1600-x86_64") || is(sha3_asm::IMPL, "keccak1600-armv8");

/// Combines each block with the state, and permutes after each.
pub(crate) fn absorb(lanes: &mut [u64; 25], blocks: &[[u8; RATE]]) {
    if IS_PLAIN && cfg!(target_endian = "little") {
        // Always with this rate, one that SHA-3 has: the assembly reads beyond a block of others.
        sha3_asm::sha3_absorb(lanes, blocks.as_flattened(), RATE);
    } else {
        portable(lanes, blocks);
    }
}

/// The twin of the assembly, which tests compare it with.
pub(crate) fn portable(lanes: &mut [u64; 25], blocks: &[[u8; RATE]]) {
    keccak::Keccak::new().with_f1600(|f1600| {
        for block in blocks {
            for (lane, word) in lanes.iter_mut().zip(block.as_chunks().0) {
                *lane ^= u64::from_le_bytes(*word);
            }
            f1600(lanes);
        }
    });
}

const fn is(text: &str, other: &str) -> bool {
    let (text, other) = (text.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < text.len() && at < other.len() && text[at] == other[at] {
        at += 1;
    }
    at == text.len() && at == other.len()
}
