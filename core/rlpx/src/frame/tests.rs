//! Frames against go-ethereum's golden frame, against the formulas of the specification written
//! down naively, against every split of a stream, and against hostile bytes.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use keccak_asm::Keccak256;
use proptest::prelude::*;

use super::*;
use crate::{
    PeerMisbehaved,
    mac::{Mac, Sponge},
};

const SECRET: [u8; 32] = [0x42; 32];

fn mac() -> Mac {
    Mac::new(&[0x17; 32], Sponge::of(b"what the handshake left"))
}

/// Two halves that fit each other.
fn pair() -> (Egress, Ingress) {
    (Egress::new(&SECRET, mac()), Ingress::new(&SECRET, mac()))
}

fn snappy_pair() -> (Egress, Ingress) {
    let (mut egress, mut ingress) = pair();
    egress.enable_snappy();
    ingress.enable_snappy();
    ingress.set_limit(MAX_FRAME);
    (egress, ingress)
}

type Message = (u64, Vec<u8>);

/// All messages in `bytes`, fed in one go.
fn open_all(ingress: &mut Ingress, bytes: &[u8]) -> Result<Vec<Message>, PeerMisbehaved> {
    let mut bytes = bytes.to_vec();
    let mut input = &mut *bytes;
    let (mut messages, mut payload) = (Vec::new(), Vec::new());
    while let Some(id) = ingress.open(&mut input, &mut payload)? {
        messages.push((id, payload.clone()));
    }
    assert!(input.is_empty(), "None means that all input was taken");
    Ok(messages)
}

/// One message, sealed and opened by a fresh pair.
fn sealed(code: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    pair().0.seal(code, payload, &mut out).unwrap();
    out
}

#[test]
fn the_golden_frame_of_go_ethereum_is_what_we_write() {
    // TestFrameReadWrite: code 8, payload [1, 2, 3, 4], both secrets Keccak-256 of nothing. Its
    // MACs come from a stub, so only the ciphertext counts.
    let secret: [u8; 32] = Keccak256::digest([]).into();
    let mut out = b"queued before".to_vec();
    Egress::new(&secret, mac()).seal(8, &[0xc4, 1, 2, 3, 4], &mut out).unwrap();
    let frame = out.strip_prefix(b"queued before").unwrap();
    assert_eq!(frame.len(), 64);
    assert_eq!(hex::encode(&frame[..16]), "00828ddae471818bb0bfa6b551d1cb42");
    assert_eq!(hex::encode(&frame[32..48]), "ba628a4ba590cb43f7848f41c4382885");

    let messages = open_all(&mut Ingress::new(&secret, mac()), frame).unwrap();
    assert_eq!(messages, [(8, vec![0xc4, 1, 2, 3, 4])]);
}

/// The MAC as the specification words it: everything ever absorbed is kept, and hashed anew at each
/// of four digests per frame.
struct NaiveMac {
    absorbed: Vec<u8>,
    cipher: aes::Aes256Enc,
}

impl NaiveMac {
    fn digest(&self) -> [u8; 16] {
        Keccak256::digest(&self.absorbed)[..16].try_into().unwrap()
    }

    fn absorb_seed(&mut self, with: [u8; 16]) {
        let mut seed = self.digest().into();
        self.cipher.encrypt_block(&mut seed);
        self.absorbed.extend(seed.iter().zip(with).map(|(seed, with)| seed ^ with));
    }
}

#[test]
fn macs_are_those_of_the_specification() {
    let mut naive = NaiveMac {
        absorbed: b"what the handshake left".to_vec(),
        cipher: aes::Aes256Enc::new(&[0x17; 32].into()),
    };
    let mut egress = pair().0;
    for length in [0, 1, 15, 16, 100, 135, 136, 137, 272, 5000] {
        let mut frame = Vec::new();
        egress.seal(0x10, &vec![0x99; length], &mut frame).unwrap();
        let (head, tail) = frame.split_at(HEAD);
        let (body, frame_mac) = tail.split_at(tail.len() - 16);

        naive.absorb_seed(head[..16].try_into().unwrap());
        assert_eq!(head[16..], naive.digest(), "header of {length}");
        naive.absorbed.extend_from_slice(body);
        let digest = naive.digest();
        naive.absorb_seed(digest);
        assert_eq!(frame_mac, naive.digest(), "frame of {length}");
    }
}

#[test]
fn ids_are_rlp_integers_of_any_length() {
    for (id, on_wire) in [
        (0, 1),
        (1, 1),
        (0x7f, 1),
        (0x80, 2),
        (0xff, 2),
        (0x100, 3),
        (0xffff_ffff, 5),
        (1 << 56, 9),
        (u64::MAX, 9),
    ] {
        // 16 bytes of padded body hold an id and 16 - on_wire bytes of payload, and no more.
        assert_eq!(sealed(id, &vec![0; 16 - on_wire]).len(), HEAD + 16 + 16);
        assert_eq!(sealed(id, &vec![0; 17 - on_wire]).len(), HEAD + 32 + 16);
        let messages = open_all(&mut pair().1, &sealed(id, b"x")).unwrap();
        assert_eq!(messages, [(id, b"x".to_vec())]);
    }
}

/// A well sealed frame with this body, whatever it is.
fn raw(body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(16);
    let mut frame = vec![0; HEAD];
    frame[2] = body.len() as u8;
    frame.extend_from_slice(body);
    frame.resize(HEAD + padded + 16, 0);

    let (mut stream, mut mac) = (Stream::new(&SECRET), mac());
    stream.apply(&mut frame[..HEADER]);
    stream.apply(&mut frame[HEAD..HEAD + padded]);
    let tag = mac.header(frame[..HEADER].try_into().unwrap());
    frame[HEADER..HEAD].copy_from_slice(tag.as_bytes());
    mac.absorb(&frame[HEAD..HEAD + padded]);
    frame[HEAD + padded..].copy_from_slice(mac.frame().as_bytes());
    frame
}

#[test]
fn ids_that_are_not_canonical_are_refused() {
    assert_eq!(open_all(&mut pair().1, &raw(&[5, 6])).unwrap(), [(5, vec![6])]);
    for body in [
        &[][..],
        &[0x00],
        &[0x81],
        &[0x81, 0x00],
        &[0x81, 0x7f],
        &[0x82, 0x00, 0xff],
        &[0x82, 0x01],
        &[0x88, 1, 2, 3, 4, 5, 6, 7],
        &[0x89, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        &[0xb8, 1, 2],
        &[0xc0],
        &[0xff],
    ] {
        let opened = open_all(&mut pair().1, &raw(body));
        assert_eq!(opened, Err(PeerMisbehaved::BadMessageId), "{body:02x?}");
    }
}

/// Messages of many lengths, compressible and not.
fn messages() -> Vec<Message> {
    let lengths = [0, 1, 5, 15, 16, 17, 100, 1000, 0, 1023, 1024, 1025];
    lengths
        .iter()
        .enumerate()
        .map(|(i, length)| {
            let noise = |j: usize| (j * j * 31 + i) as u8;
            (i as u64 * 100, (0..*length).map(|j| if i % 2 == 0 { noise(j) } else { 7 }).collect())
        })
        .collect()
}

fn stream_of(egress: &mut Egress, messages: &[Message]) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, payload) in messages {
        egress.seal(*id, payload, &mut out).unwrap();
    }
    out
}

#[test]
fn every_split_of_a_stream_gives_the_same_messages() {
    let messages = messages();
    let stream = stream_of(&mut snappy_pair().0, &messages);
    for split in 0..=stream.len() {
        let mut ingress = snappy_pair().1;
        let (first, second) = stream.split_at(split);
        let mut opened = open_all(&mut ingress, first).unwrap();
        opened.extend(open_all(&mut ingress, second).unwrap());
        assert_eq!(opened, messages, "split at {split}");
        assert!(!ingress.has_partial());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_chunks_of_a_stream_give_the_same_messages(
        lengths in prop::collection::vec(1..400_usize, 1..100),
        compressed: bool,
    ) {
        let messages = messages();
        let (mut egress, mut ingress) = if compressed { snappy_pair() } else { pair() };
        let stream = stream_of(&mut egress, &messages);
        let (mut rest, mut opened) = (&*stream, Vec::new());
        for length in lengths.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at((*length).min(rest.len()));
            opened.extend(open_all(&mut ingress, chunk).unwrap());
            rest = after;
        }
        prop_assert_eq!(opened, messages);
    }

    #[test]
    fn any_message_comes_out_as_it_went_in(
        id: u64,
        payload in prop::collection::vec(any::<u8>(), 0..5000),
        repeat in 1..20_usize,
        compressed: bool,
    ) {
        let payload = payload.repeat(repeat);
        let (mut egress, mut ingress) = if compressed { snappy_pair() } else { pair() };
        ingress.set_limit(MAX_FRAME);
        let stream = stream_of(&mut egress, &[(id, payload.clone())]);
        prop_assert_eq!(open_all(&mut ingress, &stream).unwrap(), vec![(id, payload)]);
    }

    #[test]
    fn no_bytes_make_the_receiver_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut ingress = snappy_pair().1;
        let opened = open_all(&mut ingress, &bytes);
        prop_assert_eq!(opened.is_err(), bytes.len() >= HEAD);
    }

    #[test]
    fn no_payload_makes_the_decompression_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut egress = pair().0;
        let stream = stream_of(&mut egress, &[(0x10, data)]);
        let _ = open_all(&mut snappy_pair().1, &stream);
    }
}

#[test]
fn a_change_of_any_byte_is_noticed_where_it_is() {
    let stream = sealed(0x10, &[3; 40]);
    for position in 0..stream.len() {
        let mut tampered = stream.clone();
        tampered[position] ^= 0x80;
        let expected = if position < HEAD {
            PeerMisbehaved::BadHeaderMac
        } else {
            PeerMisbehaved::BadFrameMac
        };
        let mut ingress = pair().1;
        assert_eq!(open_all(&mut ingress, &tampered), Err(expected), "byte {position}");
        // And in pieces.
        let mut ingress = pair().1;
        let in_pieces = tampered.chunks(7).find_map(|chunk| open_all(&mut ingress, chunk).err());
        assert_eq!(in_pieces, Some(expected), "byte {position} in pieces");
    }
}

#[test]
fn frames_cannot_be_dropped_doubled_or_reordered() {
    let mut egress = pair().0;
    let first = stream_of(&mut egress, &[(1, vec![1])]);
    let second = stream_of(&mut egress, &[(2, vec![2])]);
    let bad = Err(PeerMisbehaved::BadHeaderMac);
    assert_eq!(open_all(&mut pair().1, &second), bad);
    assert_eq!(open_all(&mut pair().1, &[&*first, &first].concat()), bad);
    assert!(open_all(&mut pair().1, &[first, second].concat()).is_ok());
}

#[test]
fn nothing_is_opened_after_a_fault() {
    let (mut egress, mut ingress) = pair();
    let stream = stream_of(&mut egress, &[(1, vec![1]), (2, vec![2])]);
    let mut tampered = stream.clone();
    tampered[0] ^= 1;
    let bad = Err(PeerMisbehaved::BadHeaderMac);
    assert_eq!(open_all(&mut ingress, &tampered), bad);
    assert_eq!(open_all(&mut ingress, &stream), bad);
    assert_eq!(open_all(&mut ingress, &[]), bad);
}

#[test]
fn a_frame_above_the_limit_is_refused_at_its_header() {
    let (mut egress, mut ingress) = pair();
    let at_limit = stream_of(&mut egress, &[(0, vec![7; MAX_HELLO - 1])]);
    assert_eq!(open_all(&mut ingress, &at_limit).unwrap().len(), 1);
    let above = stream_of(&mut egress, &[(0, vec![7; MAX_HELLO])]);
    assert_eq!(open_all(&mut ingress, &above[..HEAD - 1]), Ok(vec![]));
    assert_eq!(
        open_all(&mut ingress, &above[HEAD - 1..HEAD]),
        Err(PeerMisbehaved::FrameTooLarge { size: 2049, limit: 2048 })
    );
}

#[test]
fn the_largest_frame_goes_through_and_a_larger_one_is_not_sealed() {
    let (mut egress, mut ingress) = pair();
    ingress.set_limit(MAX_FRAME);
    let payload = vec![7; MAX_FRAME - 1];
    let mut stream = stream_of(&mut egress, &[(1, payload.clone())]);
    let before = stream.len();
    for payload in [vec![7; MAX_FRAME], vec![7; MAX_FRAME + 1]] {
        assert_eq!(egress.seal(1, &payload, &mut stream), Err(PayloadTooLarge(payload.len())));
        assert_eq!(stream.len(), before);
    }
    // The refusals left no trace in the stream.
    egress.seal(2, b"next", &mut stream).unwrap();
    let opened = open_all(&mut ingress, &stream).unwrap();
    assert_eq!(opened, [(1, payload), (2, b"next".to_vec())]);
}

#[test]
fn the_largest_compressible_payload_goes_through() {
    let (mut egress, mut ingress) = snappy_pair();
    let payload = vec![7; MAX_PAYLOAD];
    let stream = stream_of(&mut egress, &[(0x10, payload.clone())]);
    assert_eq!(open_all(&mut ingress, &stream).unwrap(), [(0x10, payload)]);
}

/// What a compressing receiver makes of these bytes as a payload on the wire.
fn decompressed(id: u64, data: &[u8]) -> Result<Vec<Message>, PeerMisbehaved> {
    let stream = stream_of(&mut pair().0, &[(id, data.to_vec())]);
    open_all(&mut snappy_pair().1, &stream)
}

#[test]
fn a_snappy_bomb_is_refused_before_memory_is_taken_for_it() {
    // 2^24 and 2^32 - 1 as snappy writes lengths.
    let bomb = |size| Err(PeerMisbehaved::SnappyBomb(size));
    assert_eq!(decompressed(0x10, &[0x80, 0x80, 0x80, 0x08, 0]), bomb(1 << 24));
    assert_eq!(decompressed(0x10, &[0xff, 0xff, 0xff, 0xff, 0x0f]), bomb(0xffff_ffff));
    // Within the limit, but more than these bytes can become.
    let mut payload = Vec::new();
    let stream = stream_of(&mut pair().0, &[(0x10, vec![0xff, 0xff, 0xff, 0x07, 0])]);
    let opened = snappy_pair().1.open(&mut &mut *stream.clone(), &mut payload);
    assert_eq!(opened, Err(PeerMisbehaved::BadSnappy));
    assert_eq!(payload.capacity(), 0);
}

#[test]
fn snappy_growth_of_valid_data_stays_below_its_bound() {
    for byte in [0, 7] {
        for length in [1, 60, 1000, 65_536, 1 << 20] {
            let payload = vec![byte; length];
            let (mut egress, mut ingress) = snappy_pair();
            let stream = stream_of(&mut egress, &[(0x10, payload.clone())]);
            assert_eq!(open_all(&mut ingress, &stream).unwrap(), [(0x10, payload)]);
        }
    }
}

#[test]
fn what_is_not_snappy_is_refused_except_in_a_disconnect() {
    for data in [&[0x04][..], &[0xc1, 0x04], &[0xff; 40]] {
        let bare = decompressed(0x01, data);
        assert_eq!(bare, Ok(vec![(0x01, data.to_vec())]), "{data:02x?}");
        assert!(decompressed(0x10, data).is_err(), "{data:02x?}");
    }
    assert_eq!(decompressed(0x01, &[2, 4, 0xc1, 0x04]), Ok(vec![(0x01, vec![0xc1, 0x04])]));
    assert_eq!(decompressed(0x10, &[]), Ok(vec![(0x10, vec![])]));
    assert_eq!(decompressed(0x10, &[0]), Ok(vec![(0x10, vec![])]));
}

#[test]
fn a_driver_that_reads_what_is_needed_never_reads_past_a_frame() {
    let stream = sealed(0x10, &[1; 100]);
    let mut ingress = pair().1;
    assert_eq!((ingress.needs(), ingress.has_partial()), (HEAD, false));
    assert_eq!(open_all(&mut ingress, &stream[..10]), Ok(vec![]));
    assert_eq!((ingress.needs(), ingress.has_partial()), (HEAD - 10, true));
    assert_eq!(open_all(&mut ingress, &stream[10..HEAD]), Ok(vec![]));
    assert_eq!(ingress.needs(), stream.len() - HEAD);
    assert!(ingress.has_partial());
    assert_eq!(open_all(&mut ingress, &stream[HEAD..HEAD + 20]), Ok(vec![]));
    assert_eq!(ingress.needs(), stream.len() - HEAD - 20);
    assert_eq!(open_all(&mut ingress, &stream[HEAD + 20..]).unwrap().len(), 1);
    assert_eq!((ingress.needs(), ingress.has_partial()), (HEAD, false));
}

#[test]
fn memory_grows_with_what_arrived_and_not_to_what_was_announced() {
    let mut ingress = snappy_pair().1;
    let stream = stream_of(&mut pair().0, &[(0x10, vec![0; 1 << 20])]);
    let (mut arrived, mut rest) = (0, &*stream);
    for length in [HEAD, 1, 99, 900, 5000, 100_000] {
        let (chunk, after) = rest.split_at(length);
        rest = after;
        arrived += length;
        assert_eq!(open_all(&mut ingress, chunk), Ok(vec![]));
        assert!(ingress.held.capacity() <= 2 * arrived, "{} of {arrived}", ingress.held.capacity());
        ingress.release();
        assert!(ingress.has_partial(), "a release takes nothing that is still needed");
    }
}

#[test]
fn the_buffer_of_a_giant_frame_is_not_kept() {
    let (mut egress, mut ingress) = pair();
    ingress.set_limit(MAX_FRAME);
    for (length, is_kept) in [(1 << 20, true), (MAX_FRAME - 1, false), (100, true)] {
        let stream = stream_of(&mut egress, &[(0x10, vec![0; length])]);
        let (first, second) = stream.split_at(50);
        assert_eq!(open_all(&mut ingress, first), Ok(vec![]));
        assert_eq!(open_all(&mut ingress, second).unwrap().len(), 1);
        assert_eq!(ingress.held.capacity() > 0, is_kept, "{length} bytes");
    }
}

#[test]
fn an_idle_connection_holds_no_buffers() {
    let (mut egress, mut ingress) = snappy_pair();
    let stream = stream_of(&mut egress, &[(0x10, vec![3; 5000])]);
    let (first, second) = stream.split_at(100);
    assert_eq!(open_all(&mut ingress, first), Ok(vec![]));
    assert_eq!(open_all(&mut ingress, second).unwrap().len(), 1);
    assert!(egress.compressor.is_some() && ingress.held.capacity() > 0);
    egress.release();
    ingress.release();
    assert!(egress.compressor.is_none());
    assert_eq!(ingress.held.capacity(), 0);
    assert!(size_of::<Egress>() + size_of::<Ingress>() < 2048, "a third of an idle connection");

    let stream = stream_of(&mut egress, &[(0x11, vec![3; 5000])]);
    assert_eq!(open_all(&mut ingress, &stream).unwrap(), [(0x11, vec![3; 5000])]);
}

#[test]
fn steady_traffic_allocates_nothing() {
    let (mut egress, mut ingress) = snappy_pair();
    let (mut out, mut payload) = (Vec::new(), Vec::new());
    let mut buffers = None;
    for round in 0..5 {
        out.clear();
        egress.seal(0x10, &[round; 3000], &mut out).unwrap();
        let (first, second) = out.split_at_mut(50);
        assert_eq!(ingress.open(&mut &mut *first, &mut payload), Ok(None));
        assert_eq!(ingress.open(&mut &mut *second, &mut payload), Ok(Some(0x10)));
        let now = (out.as_ptr(), payload.as_ptr(), ingress.held.as_ptr());
        assert_eq!(*buffers.get_or_insert(now), now);
    }
}

/// One frame with this payload, compressed before, by a fresh sender.
fn sealed_compressed(snappy: bool, code: u64, payload: &Compressed) -> Vec<u8> {
    let (mut egress, _) = if snappy { snappy_pair() } else { pair() };
    let mut out = b"queued before".to_vec();
    egress.encrypt_compressed(code, payload, &mut out).unwrap().seal();
    out.split_off(b"queued before".len())
}

#[test]
fn a_payload_compressed_before_makes_the_frame_that_it_makes_otherwise() {
    let mut compressor = Compressor::new();
    for (id, payload) in messages() {
        let compressed = compressor.compress(payload.clone()).unwrap();
        assert_eq!(compressed.payload()[..], payload);
        for snappy in [true, false] {
            let (mut egress, _) = if snappy { snappy_pair() } else { pair() };
            let frame = stream_of(&mut egress, &[(id, payload.clone())]);
            assert!(sealed_compressed(snappy, id, &compressed) == frame, "{id}, snappy: {snappy}");
        }
    }
}

#[test]
fn frames_sealed_together_are_those_sealed_one_by_one() {
    let mut senders: Vec<Egress> = (0..4).map(|_| snappy_pair().0).collect();
    let mut outs = vec![Vec::new(); 4];
    let payloads = [vec![], vec![1; 10], vec![2; 1000], vec![3; 70_000]];
    let frames: Vec<_> = senders
        .iter_mut()
        .zip(&mut outs)
        .zip(&payloads)
        .map(|((sender, out), payload)| sender.encrypt(5, payload, out).unwrap())
        .collect();
    seal_all(frames);
    for (out, payload) in outs.iter().zip(payloads) {
        assert!(*out == stream_of(&mut snappy_pair().0, &[(5, payload)]));
    }
}

#[test]
fn a_frame_that_is_dropped_is_sealed_since_the_cipher_has_moved_on() {
    let (mut egress, mut ingress) = pair();
    let mut out = Vec::new();
    drop(egress.encrypt(1, b"one", &mut out).unwrap());
    egress.seal(2, b"two", &mut out).unwrap();
    let opened = open_all(&mut ingress, &out).unwrap();
    assert_eq!(opened, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
}

#[test]
fn a_payload_that_no_frame_can_carry_is_refused_when_that_is_known() {
    let too_large = vec![7; MAX_PAYLOAD + 1];
    let refused = Compressor::new().compress(too_large).map(drop);
    assert_eq!(refused, Err(PayloadTooLarge(MAX_PAYLOAD + 1)));
    // Compressed it is small; without snappy, the id is one byte too many.
    let largest = Compressor::new().compress(vec![7; MAX_PAYLOAD]).unwrap();
    sealed_compressed(true, 1, &largest);
    let mut out = b"queued before".to_vec();
    let refused = pair().0.encrypt_compressed(1, &largest, &mut out).map(drop);
    assert_eq!(refused, Err(PayloadTooLarge(MAX_PAYLOAD)));
    assert_eq!(out, b"queued before");
}

#[test]
fn halves_can_live_on_threads_of_their_own() {
    fn send<T: Send + 'static>(_: &T) {}
    let (egress, ingress) = pair();
    send(&egress);
    send(&ingress);
}
