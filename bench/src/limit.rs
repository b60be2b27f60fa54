//! The limit for frames: the bare primitives that no frame can do without, in a straight line, from
//! the same libraries, with buffers prepared and nothing checked.

use aes::{
    Aes256Enc,
    cipher::{BlockCipherEncrypt, KeyInit, KeyIvInit},
};
use ctr::cipher::StreamCipher;
use keccak_asm::{Digest, Keccak256};

/// Bytes before a body: header and MAC.
const HEAD: usize = 32;

/// One direction of the limit for frames.
pub struct Limit {
    stream: ctr::Ctr64BE<Aes256Enc>,
    cipher: Aes256Enc,
    state: Keccak256,
    digest: [u8; 16],
    encoder: snap::raw::Encoder,
}

impl Limit {
    /// A direction with keys of its own.
    #[allow(clippy::new_without_default, reason = "nobody wants a default limit")]
    pub fn new() -> Self {
        Self {
            stream: ctr::Ctr64BE::new(&[1; 32].into(), &[0; 16].into()),
            cipher: Aes256Enc::new(&[2; 32].into()),
            state: Keccak256::new(),
            digest: [3; 16],
            encoder: snap::raw::Encoder::new(),
        }
    }

    /// The largest length of a frame with a payload of `length` bytes.
    pub fn room(length: usize) -> usize {
        HEAD + 1 + snap::raw::max_compress_len(length) + 32
    }

    /// Seals `payload` at the front of `frame`, which must be large enough. Returns the frame's
    /// length.
    pub fn seal(&mut self, payload: &[u8], frame: &mut [u8]) -> usize {
        frame[HEAD] = 0x10;
        let size = 1 + self.encoder.compress(payload, &mut frame[HEAD + 1..]).unwrap();
        let end = HEAD + size.next_multiple_of(16);
        frame[HEAD + size..end].fill(0);
        frame[..3].copy_from_slice(&(size as u32).to_be_bytes()[1..]);
        frame[3..16].copy_from_slice(&[0xc2, 0x80, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        self.stream.apply_keystream(&mut frame[..16]);
        let header = frame[..16].try_into().unwrap();
        frame[16..HEAD].copy_from_slice(&self.mix(header));
        self.stream.apply_keystream(&mut frame[HEAD..end]);
        self.state.update(&frame[HEAD..end]);
        let tag = self.tag();
        frame[end..end + 16].copy_from_slice(&tag);
        end + 16
    }

    /// Opens the frame of `length` bytes at the front of `frame`, into the front of `payload`.
    pub fn open(&mut self, frame: &mut [u8], payload: &mut [u8]) -> usize {
        let header = frame[..16].try_into().unwrap();
        let tag = self.mix(header);
        assert!(tag == frame[16..HEAD]);
        self.stream.apply_keystream(&mut frame[..16]);
        let size = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize;
        let end = HEAD + size.next_multiple_of(16);
        self.state.update(&frame[HEAD..end]);
        let tag = self.tag();
        assert!(tag == frame[end..end + 16]);
        self.stream.apply_keystream(&mut frame[HEAD..end]);
        snap::raw::Decoder::new().decompress(&frame[HEAD + 1..HEAD + size], payload).unwrap();
        end + 16
    }

    fn tag(&mut self) -> [u8; 16] {
        self.digest = self.state.clone().finalize()[..16].try_into().unwrap();
        self.mix(self.digest)
    }

    fn mix(&mut self, with: [u8; 16]) -> [u8; 16] {
        let mut seed = self.digest.into();
        self.cipher.encrypt_block(&mut seed);
        let masked = u128::from_ne_bytes(seed.into()) ^ u128::from_ne_bytes(with);
        self.state.update(masked.to_ne_bytes());
        self.digest = self.state.clone().finalize()[..16].try_into().unwrap();
        self.digest
    }
}
