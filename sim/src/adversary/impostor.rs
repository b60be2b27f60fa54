//! An adversary that is not who it says.

use std::collections::BTreeMap;

use peerage_discovery::v4::packet::Neighbor;
use peerage_node::{Node, PublicKey};
use peerage_rlpx::{
    Capability, CapabilityName, Hello, Initiator, P2P_VERSION, Secrets, accept, packet_size,
};

use super::{
    face::{Asked, another_key},
    mimic::{Body, Plot},
};
use crate::world::{Io, Socket};

/// Says in Hello that it is somebody else; tells that others are where it is, and answers for them.
#[derive(Debug, Default)]
pub(super) struct Impostor {
    lines: BTreeMap<Socket, Stage>,
}

/// How far a handshake is.
#[derive(Debug)]
enum Stage {
    /// It has dialed: the ack is awaited.
    Dialed(Initiator, Vec<u8>),
    /// It was dialed: the auth is awaited.
    Accepted(Vec<u8>),
    /// Hello is said.
    Done,
}

/// Code of Hello.
const HELLO: u64 = 0x00;

impl Plot for Impostor {
    /// Nodes that do not exist, where it is itself, and honest ones, whose keys it does not have.
    fn neighbors(&mut self, body: &mut Body, io: &mut Io<'_>, _: &Asked) -> Vec<Neighbor> {
        let at = body.face().at();
        let ghost = another_key(io, body.face().key());
        let mut keys = vec![*ghost.public()];
        keys.extend(body.knows.targets.iter().map(|node| *node.public_key()));
        let nodes = keys.into_iter().map(|key| Node::from_endpoint(key, at, None));
        nodes.map(|node| Neighbor::new(&node, at)).collect()
    }

    fn on_stream_begun(
        &mut self,
        body: &mut Body,
        io: &mut Io<'_>,
        socket: Socket,
        dialed: Option<&Node>,
    ) {
        let stage = match dialed {
            Some(node) => {
                let key = body.face().key().clone();
                let (initiator, auth) = Initiator::start(&key, node.public_key(), io.random());
                let _ = io.write(socket, &auth);
                Stage::Dialed(initiator, Vec::new())
            }
            None => Stage::Accepted(Vec::new()),
        };
        self.lines.insert(socket, stage);
        body.hold(io, socket);
    }

    fn on_bytes(&mut self, body: &mut Body, io: &mut Io<'_>, socket: Socket, bytes: &[u8]) {
        let Some(stage) = self.lines.remove(&socket) else { return };
        let key = body.face().key().clone();
        let stage = match stage {
            Stage::Dialed(initiator, mut packet) => {
                packet.extend_from_slice(bytes);
                match whole(&packet) {
                    None => Stage::Dialed(initiator, packet),
                    Some(ack) => {
                        if let Ok(secrets) = initiator.finish(&key, ack) {
                            greet(body, io, socket, secrets);
                        }
                        Stage::Done
                    }
                }
            }
            Stage::Accepted(mut packet) => {
                packet.extend_from_slice(bytes);
                match whole(&packet) {
                    None => Stage::Accepted(packet),
                    Some(auth) => {
                        match accept(&key, auth, io.random()) {
                            Ok(accepted) => {
                                let _ = io.write(socket, &accepted.ack);
                                greet(body, io, socket, accepted.secrets);
                            }
                            // Meant for another key: what it can say is what everybody can.
                            Err(_) => {
                                let to = body.any_target(io);
                                if let Some(to) = to {
                                    let to = to.public_key();
                                    let answer = Initiator::start(&key, to, io.random()).1;
                                    let _ = io.write(socket, &answer);
                                }
                            }
                        }
                        Stage::Done
                    }
                }
            }
            Stage::Done => Stage::Done,
        };
        self.lines.insert(socket, stage);
    }

    fn on_gone(&mut self, socket: Socket) {
        self.lines.remove(&socket);
    }
}

/// Says Hello in the name of somebody else: of an honest node, or of nobody.
fn greet(body: &Body, io: &mut Io<'_>, socket: Socket, secrets: Secrets) {
    let ghost = *another_key(io, body.face().key()).public();
    let identity: PublicKey = match body.any_target(io) {
        Some(node) if io.random().below(2) == 0 => *node.public_key(),
        _ => ghost,
    };
    let name = CapabilityName::new("sim").expect("because this is short");
    let hello = Hello {
        version: P2P_VERSION,
        client: "impostor".into(),
        capabilities: vec![Capability { name, version: 1 }],
        listen_port: 0,
        identity,
    };
    let (mut payload, mut frame) = (Vec::new(), Vec::new());
    hello.encode(&mut payload);
    let (mut egress, _) = secrets.split();
    egress.seal(HELLO, &payload, &mut frame).expect("because a Hello is short");
    let _ = io.write(socket, &frame);
}

/// The first handshake packet of `bytes`, if it is complete.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let size = packet_size([*bytes.first()?, *bytes.get(1)?]).ok()?;
    bytes.get(..2 + size)
}
