//! Capabilities: what they are called, and what a connection has agreed on
//! ([rlpx.md, capability
//! messaging](https://github.com/ethereum/devp2p/blob/master/rlpx.md#capability-messaging)).

use std::{fmt, str::FromStr};

/// Why a text is not a capability name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a capability name is 1 to 8 ASCII letters, digits or punctuation marks")]
pub struct NameError;

/// A capability's name: 1 to 8 printable ASCII bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapabilityName {
    /// Zero-padded, so that the derived order is the order of the names.
    bytes: [u8; 8],
}

impl CapabilityName {
    /// The name `name`.
    pub fn new(name: &str) -> Result<Self, NameError> {
        Self::from_bytes(name.as_bytes())
    }

    /// The name with these bytes.
    pub fn from_bytes(name: &[u8]) -> Result<Self, NameError> {
        let printable = name.iter().all(u8::is_ascii_graphic);
        let mut bytes = [0; 8];
        match bytes.get_mut(..name.len()) {
            Some(prefix) if printable && !name.is_empty() => prefix.copy_from_slice(name),
            _ => return Err(NameError),
        }
        Ok(Self { bytes })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let end = self.bytes.iter().position(|byte| *byte == 0).unwrap_or(self.bytes.len());
        str::from_utf8(&self.bytes[..end]).expect("because only ASCII gets in")
    }
}

impl fmt::Debug for CapabilityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for CapabilityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CapabilityName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

/// A capability as Hello announces it: a name and a version. Written `eth/68`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability {
    /// The name.
    pub name: CapabilityName,
    /// The version.
    pub version: u64,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

/// A capability that we speak, with the number of message ids it takes. Both ends must know the
/// same length: it is not on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalCapability {
    /// Name and version.
    pub capability: Capability,
    /// How many message ids it uses: ids 0 to `length - 1`.
    pub length: u64,
}

/// A capability that both ends speak, with its place in the connection's message ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Name and version.
    pub capability: Capability,
    /// Index in the slice of [`LocalCapability`] that our Hello was made from.
    pub local: usize,
    /// Id on the wire of the capability's message 0; at least 0x10.
    pub offset: u64,
    /// How many message ids it uses.
    pub length: u64,
}
