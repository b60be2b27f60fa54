//! The six messages, and how they are written as lists.
//!
//! Elements behind those that are known are ignored, as is what comes after the list.

use std::{fmt, net::SocketAddr};

use alloy_rlp::{Decodable, Encodable, Error, Header};

use crate::rlp::{decode_ip, encode_ip, open_list, take_item, with_list};

/// The message types of the specification. Behind them is the place of topics (REGTOPIC 0x07,
/// TICKET 0x08, REGCONFIRMATION 0x09, TOPICQUERY 0x0a), which nobody speaks.
mod kind {
    pub(super) const PING: u8 = 0x01;
    pub(super) const PONG: u8 = 0x02;
    pub(super) const FIND_NODE: u8 = 0x03;
    pub(super) const NODES: u8 = 0x04;
    pub(super) const TALK_REQUEST: u8 = 0x05;
    pub(super) const TALK_RESPONSE: u8 = 0x06;
}

/// What a response names its request by: up to 8 bytes of the requester's choice.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId {
    bytes: [u8; Self::MAX_SIZE],
    size: u8,
}

impl RequestId {
    /// The most bytes of an id.
    pub const MAX_SIZE: usize = 8;

    /// The id of these bytes; `None` if they are too many.
    pub fn new(id: &[u8]) -> Option<Self> {
        let size = u8::try_from(id.len()).ok().filter(|_| id.len() <= Self::MAX_SIZE)?;
        let mut bytes = [0; Self::MAX_SIZE];
        bytes[..id.len()].copy_from_slice(id);
        Some(Self { bytes, size })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.size)]
    }

    fn decode(list: &mut &[u8]) -> Result<Self, Error> {
        Self::new(Header::decode_bytes(list, false)?).ok_or(Error::UnexpectedLength)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({:02x?})", self.as_bytes())
    }
}

/// What a packet says, in the bytes that it was opened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Asks for a [`Pong`](Self::Pong): type 0x01.
    Ping {
        /// Names the answer.
        id: RequestId,
        /// The sequence number of the sender's record.
        seq: u64,
    },
    /// Says that the sender is there: type 0x02.
    Pong {
        /// Of the request.
        id: RequestId,
        /// The sequence number of the sender's record.
        seq: u64,
        /// Where the request was seen to come from; `None` if that is no address and port.
        recipient: Option<SocketAddr>,
    },
    /// Asks for nodes: type 0x03.
    FindNode {
        /// Names the answer.
        id: RequestId,
        /// At which logarithmic distances from the one that is asked, each once, at most 256; 0 is
        /// itself. Others that came are left out.
        distances: Vec<u16>,
    },
    /// A part of the answer to a [`FindNode`](Self::FindNode): type 0x04.
    Nodes {
        /// Of the request.
        id: RequestId,
        /// In how many parts the answer comes.
        total: u64,
        /// The records in RLP, not decoded, as that verifies a signature. As many as came: the size
        /// of a packet bounds them.
        records: Vec<&'a [u8]>,
    },
    /// Asks in another protocol: type 0x05.
    TalkRequest {
        /// Names the answer.
        id: RequestId,
        /// The name of the protocol.
        protocol: &'a [u8],
        /// What is asked.
        request: &'a [u8],
    },
    /// The answer to a [`TalkRequest`](Self::TalkRequest); empty where the protocol is not spoken:
    /// type 0x06.
    TalkResponse {
        /// Of the request.
        id: RequestId,
        /// The answer.
        response: &'a [u8],
    },
}

/// Why what was opened is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The content is not the list that the type demands, or names a request by too many bytes.
    #[error("the content of the message of type {kind:#04x} is malformed")]
    Malformed {
        /// The type.
        kind: u8,
    },
    /// A type that is not spoken; to be ignored.
    #[error("messages of type {kind:#04x} are not known")]
    UnknownType {
        /// The type.
        kind: u8,
    },
}

impl<'a> Message<'a> {
    /// Its type and its list.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.push(self.kind());
        with_list(&mut out, |list| {
            self.request_id().as_bytes().encode(list);
            self.encode_rest(list);
        });
        out
    }

    /// Reads what a packet was opened to.
    pub fn decode(text: &'a [u8]) -> Result<Self, MessageError> {
        let (&kind, content) = text.split_first().ok_or(MessageError::Malformed { kind: 0 })?;
        if !(kind::PING..=kind::TALK_RESPONSE).contains(&kind) {
            return Err(MessageError::UnknownType { kind });
        }
        Self::decode_content(kind, content).map_err(|_| MessageError::Malformed { kind })
    }

    fn decode_content(kind: u8, content: &'a [u8]) -> Result<Self, Error> {
        let mut list = open_list(content)?;
        let list = &mut list;
        let id = RequestId::decode(list)?;
        Ok(match kind {
            kind::PING => Self::Ping { id, seq: u64::decode(list)? },
            kind::PONG => {
                let seq = u64::decode(list)?;
                let (ip, port) = (decode_ip(list)?, u16::decode(list)?);
                let recipient = ip.filter(|_| port != 0).map(|ip| SocketAddr::new(ip, port));
                Self::Pong { id, seq, recipient }
            }
            kind::FIND_NODE => Self::FindNode { id, distances: decode_distances(list)? },
            kind::NODES => {
                let total = u64::decode(list)?;
                let mut told = Header::decode_bytes(list, true)?;
                let mut records = Vec::new();
                while !told.is_empty() {
                    records.push(take_item(&mut told)?);
                }
                Self::Nodes { id, total, records }
            }
            kind::TALK_REQUEST => Self::TalkRequest {
                id,
                protocol: Header::decode_bytes(list, false)?,
                request: Header::decode_bytes(list, false)?,
            },
            _ => Self::TalkResponse { id, response: Header::decode_bytes(list, false)? },
        })
    }

    fn encode_rest(&self, list: &mut Vec<u8>) {
        match self {
            Self::Ping { seq, .. } => seq.encode(list),
            Self::Pong { seq, recipient, .. } => {
                seq.encode(list);
                encode_ip(recipient.map(|addr| addr.ip()), list);
                recipient.map_or(0, |addr| addr.port()).encode(list);
            }
            Self::FindNode { distances, .. } => {
                with_list(list, |list| distances.iter().for_each(|it| it.encode(list)));
            }
            Self::Nodes { total, records, .. } => {
                total.encode(list);
                with_list(list, |list| records.iter().for_each(|it| list.extend_from_slice(it)));
            }
            Self::TalkRequest { protocol, request, .. } => {
                protocol.encode(list);
                request.encode(list);
            }
            Self::TalkResponse { response, .. } => response.encode(list),
        }
    }

    /// What the message or its request is named by.
    pub const fn request_id(&self) -> RequestId {
        match self {
            Self::Ping { id, .. }
            | Self::Pong { id, .. }
            | Self::FindNode { id, .. }
            | Self::Nodes { id, .. }
            | Self::TalkRequest { id, .. }
            | Self::TalkResponse { id, .. } => *id,
        }
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::Ping { .. } => kind::PING,
            Self::Pong { .. } => kind::PONG,
            Self::FindNode { .. } => kind::FIND_NODE,
            Self::Nodes { .. } => kind::NODES,
            Self::TalkRequest { .. } => kind::TALK_REQUEST,
            Self::TalkResponse { .. } => kind::TALK_RESPONSE,
        }
    }
}

/// Distances, each once, without those at which no node can be.
fn decode_distances(list: &mut &[u8]) -> Result<Vec<u16>, Error> {
    let mut told = Header::decode_bytes(list, true)?;
    let mut distances = Vec::new();
    while !told.is_empty() {
        let distance = u64::decode(&mut told)?;
        if let Ok(distance @ 0..=256) = u16::try_from(distance)
            && !distances.contains(&distance)
        {
            distances.push(distance);
        }
    }
    Ok(distances)
}
