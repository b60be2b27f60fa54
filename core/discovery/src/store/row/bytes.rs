//! The bytes of a row on disk. Numbers are big-endian.
//!
//! ```text
//! row     = heard[8] stated contact*
//! stated  = 0x00                                            nothing
//!         | 0x01 at seq[8] length[2] record                 RLP
//!         | 0x02 at length[2] enode URL                     text
//! at      = count[1] ip[16]* moved[1] (ip[16] port[2])?     moved is 0x00 or 0x01
//! ip      = an IPv6 address, or IPv4 as ::ffff:a.b.c.d
//! contact = ip[16] last-ping[8] last-pong[8] failures[4]    seconds of UNIX, 0 is never
//! ```
//!
//! Another layout is another format of every file that has such rows.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Form, Ips, Row, Spot, Stated, Written};

const NOTHING: u8 = 0x00;
const RECORD: u8 = 0x01;
const URL: u8 = 0x02;

impl Row {
    /// The bytes of the row on disk.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.heard.to_be_bytes().to_vec();
        match self.stated.as_ref().map(Stated::written).as_deref() {
            None => out.push(NOTHING),
            Some(Written { form: Form::Record { seq, rlp }, ips, moved }) => {
                out.push(RECORD);
                put_at(&mut out, *ips, *moved);
                out.extend(seq.to_be_bytes());
                put_string(&mut out, rlp);
            }
            Some(Written { form: Form::Url(url), ips, moved }) => {
                out.push(URL);
                put_at(&mut out, *ips, *moved);
                put_string(&mut out, url.as_bytes());
            }
        }
        for spot in &self.contacts {
            out.extend(ip_bytes(spot.ip));
            out.extend(spot.ping.to_be_bytes());
            out.extend(spot.pong.to_be_bytes());
            out.extend(spot.failures.to_be_bytes());
        }
        out
    }

    /// `None` if these are not the bytes of a row. Records are not verified again.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = &mut &bytes[..];
        let heard = u64::from_be_bytes(take(rest)?);
        let stated = match take::<1>(rest)?[0] {
            NOTHING => None,
            RECORD => {
                let (ips, moved) = take_at(rest)?;
                let seq = u64::from_be_bytes(take(rest)?);
                let form = Form::Record { seq, rlp: take_string(rest)?.into() };
                Some(Stated::Written(Box::new(Written { form, ips, moved })))
            }
            URL => {
                let (ips, moved) = take_at(rest)?;
                let url = str::from_utf8(take_string(rest)?).ok()?;
                Some(Stated::Written(Box::new(Written { form: Form::Url(url.into()), ips, moved })))
            }
            _ => return None,
        };
        let mut contacts = Vec::new();
        while !rest.is_empty() {
            contacts.push(Spot {
                ip: take_ip(rest)?,
                ping: u64::from_be_bytes(take(rest)?),
                pong: u64::from_be_bytes(take(rest)?),
                failures: u32::from_be_bytes(take(rest)?),
            });
        }
        Some(Self { heard, stated, contacts })
    }
}

fn put_at(out: &mut Vec<u8>, ips: Ips, moved: Option<SocketAddr>) {
    out.push(u8::from(ips.v4.is_some()) + u8::from(ips.v6.is_some()));
    out.extend(ips.iter().flat_map(ip_bytes));
    out.push(moved.is_some().into());
    if let Some(endpoint) = moved {
        out.extend(ip_bytes(endpoint.ip()));
        out.extend(endpoint.port().to_be_bytes());
    }
}

fn put_string(out: &mut Vec<u8>, string: &[u8]) {
    let length = u16::try_from(string.len())
        .expect("because a record has at most 300 bytes, and a URL a key and a DNS name");
    out.extend(length.to_be_bytes());
    out.extend(string);
}

fn ip_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u16::from_be_bytes(take(rest)?);
    let (head, tail) = rest.split_at_checked(length.into())?;
    *rest = tail;
    Some(head)
}

fn take_ip(rest: &mut &[u8]) -> Option<IpAddr> {
    Some(IpAddr::V6(Ipv6Addr::from(take::<16>(rest)?)).to_canonical())
}

fn take_at(rest: &mut &[u8]) -> Option<(Ips, Option<SocketAddr>)> {
    let count = take::<1>(rest)?[0];
    let ips = (0..count).map(|_| take_ip(rest)).collect::<Option<_>>()?;
    let moved = match take::<1>(rest)?[0] {
        0x00 => None,
        0x01 => Some(SocketAddr::new(take_ip(rest)?, u16::from_be_bytes(take(rest)?))),
        _ => return None,
    };
    Some((ips, moved))
}
