//! Lists and addresses in RLP, as the packets of all versions have them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use alloy_rlp::{Encodable, Header, Result};

/// What a list hardly ever takes more of, in bytes.
const USUAL: usize = 256;

/// The payload of the list that `content` begins with.
pub(crate) fn open_list(mut content: &[u8]) -> Result<&[u8]> {
    Header::decode_bytes(&mut content, true)
}

/// Writes what `fill` writes as a list.
pub(crate) fn with_list(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut payload = Vec::with_capacity(USUAL);
    fill(&mut payload);
    encode_list(&payload, out);
}

/// Writes `payload` as a list.
pub(crate) fn encode_list(payload: &[u8], out: &mut Vec<u8>) {
    Header { list: true, payload_length: payload.len() }.encode(out);
    out.extend_from_slice(payload);
}

/// Passes over one item of any kind.
pub(crate) fn skip(rest: &mut &[u8]) -> Result<()> {
    let header = Header::decode(rest)?;
    *rest = &rest[header.payload_length..];
    Ok(())
}

/// Passes over one item of any kind, and gives all of it.
pub(crate) fn take_item<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8]> {
    let start = *rest;
    skip(rest)?;
    Ok(&start[..start.len() - rest.len()])
}

/// Writes the bytes of an address; none for no address.
pub(crate) fn encode_ip(ip: Option<IpAddr>, out: &mut Vec<u8>) {
    match ip {
        Some(IpAddr::V4(ip)) => ip.octets().as_slice().encode(out),
        Some(IpAddr::V6(ip)) => ip.octets().as_slice().encode(out),
        None => [].as_slice().encode(out),
    }
}

/// An address of any number of bytes; only 4 and 16 are one.
pub(crate) fn decode_ip(rest: &mut &[u8]) -> Result<Option<IpAddr>> {
    let bytes = Header::decode_bytes(rest, false)?;
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(|octets| Ipv4Addr::from(octets).into());
    let v6 = || <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).into());
    Ok(v4().or_else(v6).map(|ip: IpAddr| ip.to_canonical()))
}
