//! `peerage key`: node keys in files.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use peerage::{Node, SecretKey};
use serde_json::json;

use crate::{
    failure::Failure,
    key_file,
    output::{self, Fields},
};

/// Makes and shows node keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Makes a new key in a file that only you can read.
    #[command(after_help = "Example:
  peerage key generate ./node/nodekey")]
    Generate(Generate),
    /// Shows who the owner of a key file is: id, public key, enode URL. Never the secret.
    #[command(after_help = "Example:
  peerage key show ./node/nodekey --ip 203.0.113.7 --tcp 30303")]
    Show(Show),
}

/// The flags of `key generate`.
#[derive(Args, Debug)]
pub(crate) struct Generate {
    /// Where to write the key; an existing file is never overwritten.
    #[arg(default_value = "nodekey")]
    file: PathBuf,
    #[command(flatten)]
    shape: Shape,
}

/// The flags of `key show`.
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The key file.
    file: PathBuf,
    #[command(flatten)]
    shape: Shape,
}

/// How a key is shown.
#[derive(Args, Debug)]
struct Shape {
    /// An address for the enode URL, which has none otherwise.
    #[arg(long)]
    ip: Option<IpAddr>,
    /// The TCP port for the enode URL.
    #[arg(long, value_name = "PORT", requires = "ip", default_value_t = 30303)]
    tcp: u16,
    /// The UDP port for the enode URL, if it differs from the TCP port.
    #[arg(long, value_name = "PORT", requires = "ip")]
    udp: Option<u16>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Key {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Generate(Generate { file, shape }) => {
                let key = key_file::create(&file)?;
                shape.print(&file, &key)
            }
            Self::Show(Show { file, shape }) => {
                let key = key_file::load(&file)?;
                shape.print(&file, &key)
            }
        }
    }
}

impl Shape {
    fn print(&self, file: &Path, key: &SecretKey) -> Result<(), Failure> {
        let public = key.public();
        let id = public.id();
        let enode = self.enode(key);
        if self.json {
            output::json_line(&json!({
                "file": file.display().to_string(),
                "id": id.to_string(),
                "public_key": public.to_string(),
                "enode": enode,
            }))?;
        } else {
            let mut fields = Fields::new();
            fields
                .add("file", file.display())
                .add("id", id)
                .add("public key", public)
                .add("enode", enode);
            output::text(&fields.render(""))?;
        }
        Ok(())
    }

    /// The URL of the node with this key, here or nowhere in particular.
    fn enode(&self, key: &SecretKey) -> String {
        let node = match self.ip {
            Some(ip) => {
                let endpoint = SocketAddr::new(ip, self.tcp);
                Node::from_endpoint(*key.public(), endpoint, self.udp)
            }
            None => Node::new(*key.public()),
        };
        node.enode_url()
    }
}
