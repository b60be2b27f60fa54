//! `peerage enr`: node records, to and from text
//! ([EIP-778](https://eips.ethereum.org/EIPS/eip-778)).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    str::FromStr,
};

use clap::{Args, Subcommand};
use peerage::{LocalRecord, LocalRecordError, Node, Record, RecordError};
use serde_json::{Map, Value, json};

use crate::{
    failure::Failure,
    key_file,
    output::{self, Fields},
    rlp::{self, Item},
};

/// Reads and makes node records.
#[derive(Debug, Subcommand)]
pub(crate) enum Enr {
    /// Shows all that is in a record, and checks its signature.
    #[command(after_help = "Example:
  peerage enr decode enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkT\\
fj499SZuOh8R33Ls8RRcy5wBgmlkgnY0gmlwhH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yW\\
M0xOIN1ZHCCdl8")]
    Decode(Decode),
    /// Makes and signs a record.
    #[command(after_help = "Example:
  peerage enr encode --key-file nodekey --ip 203.0.113.7 --tcp 30303 --udp 30303")]
    Encode(Encode),
}

/// The flags of `enr decode`.
#[derive(Args, Debug)]
pub(crate) struct Decode {
    /// The record: `enr:` and what follows it.
    record: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The flags of `enr encode`.
#[derive(Args, Debug)]
pub(crate) struct Encode {
    /// The key that signs.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// An address, IPv4 or IPv6; give both families if the node has both.
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// The TCP port, of both families.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    tcp: Option<u16>,
    /// The UDP port, of both families.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    udp: Option<u16>,
    /// The TCP port of IPv6, if it differs.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    tcp6: Option<u16>,
    /// The UDP port of IPv6, if it differs.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    udp6: Option<u16>,
    /// The sequence number: higher than that of any record published before.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seq: u64,
    /// A further entry: text, or RLP where the value begins with 0x.
    #[arg(long = "attribute", value_name = "KEY=VALUE")]
    attributes: Vec<Attribute>,
}

/// Why a record could not be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum EnrError {
    /// What was given is no valid record.
    #[error("{0}")]
    Decode(RecordError),
    /// An entry does not fit into a record.
    #[error("{0}")]
    Encode(#[from] LocalRecordError),
    /// Two addresses of one family.
    #[error("a record holds one address of each family; {first} and {second} are two of one")]
    SameFamily {
        /// The address given first.
        first: IpAddr,
        /// The address given after it.
        second: IpAddr,
    },
}

impl Enr {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Decode(decode) => decode.run(),
            Self::Encode(encode) => encode.run(),
        }
    }
}

impl Decode {
    fn run(&self) -> Result<(), Failure> {
        let record: Record = self.record.trim().parse().map_err(EnrError::Decode)?;
        if self.json {
            output::json_line(&to_json(&record))?;
        } else {
            output::text(&to_text(&record))?;
        }
        Ok(())
    }
}

impl Encode {
    fn run(&self) -> Result<(), Failure> {
        let key = key_file::load(&self.key_file)?;
        let record = self.record(LocalRecord::new(key, self.seq - 1))?;
        output::text(&format!("{record}\n"))?;
        Ok(())
    }

    fn record(&self, mut local: LocalRecord) -> Result<Record, EnrError> {
        let mut v4: Option<Ipv4Addr> = None;
        let mut v6: Option<Ipv6Addr> = None;
        for ip in &self.ip {
            let second = *ip;
            let first = match ip {
                IpAddr::V4(ip) => v4.replace(*ip).map(IpAddr::V4),
                IpAddr::V6(ip) => v6.replace(*ip).map(IpAddr::V6),
            };
            if let Some(first) = first {
                return Err(EnrError::SameFamily { first, second });
            }
        }
        local.set_ip4(v4)?;
        local.set_ip6(v6)?;
        local.set_tcp4(self.tcp)?;
        local.set_tcp6(self.tcp6)?;
        local.set_udp4(self.udp)?;
        local.set_udp6(self.udp6)?;
        for Attribute { key, rlp } in &self.attributes {
            local.add_attribute(key, rlp.clone())?;
        }
        Ok(local.record().clone())
    }
}

/// `KEY=VALUE`, the value in RLP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    key: String,
    rlp: Vec<u8>,
}

/// The text is not `KEY=VALUE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an attribute is KEY=VALUE, the value text, or RLP as 0x and an even number of digits")]
pub(crate) struct AttributeError;

impl FromStr for Attribute {
    type Err = AttributeError;

    fn from_str(text: &str) -> Result<Self, AttributeError> {
        let (key, value) = text.split_once('=').ok_or(AttributeError)?;
        if key.is_empty() {
            return Err(AttributeError);
        }
        let rlp = match value.strip_prefix("0x") {
            Some(digits) => hex::decode(digits).map_err(|_| AttributeError)?,
            None => rlp::encode_text(value),
        };
        Ok(Self { key: key.into(), rlp })
    }
}

fn to_text(record: &Record) -> String {
    let mut fields = Fields::new();
    fields
        .add("id", record.id())
        .add("public key", record.public_key())
        .add("seq", record.seq())
        .add("signature", "valid");
    let node = Node::from_record(record.clone());
    for (protocol, endpoints) in [("tcp", node.tcp_endpoints()), ("udp", node.udp_endpoints())] {
        let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
        fields
            .add(protocol, if endpoints.is_empty() { "none".into() } else { endpoints.join(", ") });
    }
    let size = record.as_rlp().len();
    fields.add("size", format!("{size} of at most {} bytes", peerage::MAX_RECORD_SIZE));
    let mut entries = Fields::new();
    for (key, value) in record.entries() {
        entries.add(String::from_utf8_lossy(key), value_text(record, key, value));
    }
    format!("{}entries\n{}", fields.render(""), entries.render("  "))
}

/// The value of an entry for people. An entry with a known key and a strange value is shown as it
/// is.
fn value_text(record: &Record, key: &[u8], value: &[u8]) -> String {
    match known(record, key) {
        Some(Value::String(text)) => text,
        Some(number) => number.to_string(),
        None => Item::decode(value).map_or_else(|| rlp::hex_text(value), |item| item.to_text()),
    }
}

fn to_json(record: &Record) -> Value {
    let entries: Map<String, Value> = record
        .entries()
        .map(|(key, value)| {
            let known = known(record, key);
            let shown = known.or_else(|| Item::decode(value).map(|item| item.to_json()));
            let entry = json!({ "value": shown, "rlp": rlp::hex_text(value) });
            (String::from_utf8_lossy(key).into_owned(), entry)
        })
        .collect();
    let node = Node::from_record(record.clone());
    json!({
        "id": record.id().to_string(),
        "public_key": record.public_key().to_string(),
        "seq": record.seq(),
        "signature_valid": true,
        "tcp": node.tcp_endpoints(),
        "udp": node.udp_endpoints(),
        "size": record.as_rlp().len(),
        "entries": entries,
    })
}

/// What an entry means, where EIP-778 says so.
fn known(record: &Record, key: &[u8]) -> Option<Value> {
    match key {
        b"id" => Some("v4".into()),
        b"ip" => record.ip4().map(|ip| ip.to_string().into()),
        b"ip6" => record.ip6().map(|ip| ip.to_string().into()),
        b"tcp" => record.tcp4().map(Value::from),
        b"tcp6" => record.tcp6().map(Value::from),
        b"udp" => record.udp4().map(Value::from),
        b"udp6" => record.udp6().map(Value::from),
        _ => None,
    }
}
