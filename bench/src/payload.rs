//! The payloads that messages are measured with, in memory and between servers.

use peerage_machine::Random;

/// Sizes, and what they are called.
pub const SIZES: [(&str, usize); 6] = [
    ("32 B", 32),
    ("256 B", 256),
    ("1 KiB", 1 << 10),
    ("16 KiB", 16 << 10),
    ("256 KiB", 256 << 10),
    ("1 MiB", 1 << 20),
];

/// A kind of payload, and what makes one of a given length.
pub type Kind = (&'static str, fn(usize) -> Vec<u8>);

/// Both kinds.
pub const KINDS: [Kind; 2] = [("random", random_bytes), ("compressible", compressible)];

fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Random::from_seed([1; 32]).fill(&mut bytes);
    bytes
}

/// Like contract data: words of 32 bytes, every other one a small number. Snappy makes about 0.6 of
/// it.
fn compressible(length: usize) -> Vec<u8> {
    let mut bytes = random_bytes(length);
    for pair in bytes.chunks_mut(64) {
        if let Some(number) = pair.get_mut(32..62) {
            number.fill(0);
        }
    }
    bytes
}
