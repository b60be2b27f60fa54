//! The settings of `peerage run`: one struct for the flags and for the file, so that they have the
//! same names and take the same words.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use peerage::Node;
use serde::Deserialize;

use crate::{
    args::{
        EchoSpec, ListenAt, Networks, TrustedId, UdpAt, Versions, from_lists, from_text, from_texts,
    },
    log::LogFilter,
};

/// Flags, or the file, or both together: what is `None` or empty was not said.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// The node's key; made on the first run. [default: nodekey in the data directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Where the node keeps its state. [default: peerage in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where to listen: IP:PORT, :PORT or none; port 0 takes any free one. [default: 0.0.0.0:30303]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(deserialize_with = "from_text")]
    pub(crate) listen: Option<ListenAt>,
    /// A node to ask for others: enode URL or node record (repeatable, or several with commas).
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    #[serde(deserialize_with = "from_lists")]
    pub(crate) bootnodes: Vec<Node>,
    /// Which versions of discovery to speak, at one UDP port: v4, v5, v4,v5, or none to open no UDP
    /// socket. [default: v4,v5]
    #[arg(long, value_name = "VERSIONS")]
    #[serde(deserialize_with = "from_text")]
    pub(crate) discovery: Option<Versions>,
    /// Where discovery listens: IP:PORT or :PORT of UDP. [default: as --listen, the same port]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(deserialize_with = "from_text")]
    pub(crate) discovery_listen: Option<UdpAt>,
    /// Be a boot node: discovery only, at the address of --listen; dial nobody, take no
    /// connections.
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub(crate) bootnode: Option<bool>,
    /// A node to stay connected to, beside all limits: enode URL or node record (repeatable).
    #[arg(long = "static", value_name = "NODE")]
    #[serde(rename = "static", deserialize_with = "from_texts")]
    pub(crate) static_nodes: Vec<Node>,
    /// A node that is let in even when we are full: enode URL, node record or id (repeatable).
    #[arg(long, value_name = "NODE")]
    #[serde(deserialize_with = "from_texts")]
    pub(crate) trusted: Vec<TrustedId>,
    /// How many peers to have at most, beside static and trusted ones. [default: 50]
    #[arg(long, value_name = "N")]
    pub(crate) max_peers: Option<usize>,
    /// One in how many peers is one that we dialed. [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) dial_ratio: Option<usize>,
    /// Connect within these networks only: 10.0.0.0/8,192.168.0.0/16
    #[arg(long, value_name = "NETWORKS")]
    #[serde(deserialize_with = "from_text")]
    pub(crate) net_restrict: Option<Networks>,
    /// The client name that peers see. [default: peerage/VERSION/SYSTEM/rust]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A capability that answers every message with itself, such as demo/1/4 (repeatable).
    #[arg(long, value_name = "NAME/VERSION/LENGTH")]
    #[serde(deserialize_with = "from_texts")]
    pub(crate) echo: Vec<EchoSpec>,
    /// A protocol of TALKREQ that answers every request with itself (repeatable).
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) talk_echo: Vec<String>,
    /// Print one JSON object per event and line.
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub(crate) json: Option<bool>,
    /// What to log to standard error: off, error, warn, info, debug, trace, or a list such as
    /// `warn,peerage=debug`. [default: warn]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<LogFilter>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// A boot node is to do what no boot node does.
    #[error("a boot node does nothing but discovery: leave out {with}, or bootnode")]
    Bootnode {
        /// The setting that asks for it.
        with: &'static str,
    },
    /// A boot node is to be reached nowhere.
    #[error("a boot node needs a UDP address: name one with listen or discovery-listen")]
    BootnodeNowhere,
    /// The ratio cannot be met.
    #[error("dial-ratio is at least 1: one in that many peers is one that we dialed")]
    DialRatio,
    /// Something in the file is wrong.
    #[error("{}, line {line}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, in the words of the parser.
        message: String,
    },
    /// Nobody said where state belongs, and there is no usual place.
    #[error("there is no home directory to keep the node's key in; pass --data-dir")]
    NoDataDir,
    /// The file cannot be read.
    #[error("cannot read the settings in {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Settings {
    /// The settings in a TOML file.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        let settings = Self::parse(&text).map_err(|(line, message)| ConfigError::Invalid {
            path: path.into(),
            line,
            message,
        })?;
        // The flag's own check does not see the file.
        if settings.dial_ratio == Some(0) {
            return Err(ConfigError::DialRatio);
        }
        Ok(settings)
    }

    /// The settings in TOML; or the line that is wrong, counted from 1, and what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, (usize, String)> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or(text);
            (1 + before.matches('\n').count(), error.message().replace('\n', " "))
        })
    }

    /// These settings, and what only `fallback` says.
    pub(crate) fn or(self, fallback: Self) -> Self {
        Self {
            key_file: self.key_file.or(fallback.key_file),
            data_dir: self.data_dir.or(fallback.data_dir),
            listen: self.listen.or(fallback.listen),
            bootnodes: either(self.bootnodes, fallback.bootnodes),
            discovery: self.discovery.or(fallback.discovery),
            discovery_listen: self.discovery_listen.or(fallback.discovery_listen),
            bootnode: self.bootnode.or(fallback.bootnode),
            static_nodes: either(self.static_nodes, fallback.static_nodes),
            trusted: either(self.trusted, fallback.trusted),
            max_peers: self.max_peers.or(fallback.max_peers),
            dial_ratio: self.dial_ratio.or(fallback.dial_ratio),
            net_restrict: self.net_restrict.or(fallback.net_restrict),
            name: self.name.or(fallback.name),
            echo: either(self.echo, fallback.echo),
            talk_echo: either(self.talk_echo, fallback.talk_echo),
            json: self.json.or(fallback.json),
            log: self.log.or(fallback.log),
        }
    }

    /// Whether this is to be a boot node, where that goes together with the other settings.
    pub(crate) fn is_bootnode(&self) -> Result<bool, ConfigError> {
        if self.bootnode != Some(true) {
            return Ok(false);
        }
        for (is_set, with) in [
            (self.discovery.as_ref().is_some_and(|it| it.0.is_empty()), "discovery none"),
            (!self.static_nodes.is_empty(), "static"),
            (!self.echo.is_empty(), "echo"),
        ] {
            if is_set {
                return Err(ConfigError::Bootnode { with });
            }
        }
        if self.discovery_listen.is_none() && self.listen == Some(ListenAt::Nowhere) {
            return Err(ConfigError::BootnodeNowhere);
        }
        Ok(true)
    }

    /// Where state belongs: `None` if only a key file was named, so that nothing else is written.
    pub(crate) fn data_dir(&self) -> Result<Option<PathBuf>, ConfigError> {
        if self.data_dir.is_some() || self.key_file.is_some() {
            return Ok(self.data_dir.clone());
        }
        let folder =
            |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        folder("XDG_DATA_HOME")
            .or_else(|| folder("HOME").map(|home| home.join(".local/share")))
            .map(|share| Some(share.join("peerage")))
            .ok_or(ConfigError::NoDataDir)
    }
}

/// A list that was given replaces the other: lists do not add up.
fn either<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    if first.is_empty() { second } else { first }
}
