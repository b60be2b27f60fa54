#!/usr/bin/env python3
"""Trinity 0.1.0a37's `p2p` package as a foreign node that the interop harness drives: RLPx only.

    node.py --key <64 hex digits> [--listen PORT] [--cap demo/1/4]... [--echo]

One JSON object a line: events on stdout, commands on stdin (dial, send, disconnect; see `Node.command`).
The end of stdin ends the process.

Trinity's transport, messages, codecs and negotiation do the work. Its `Connection` service is left out: it
stops reading as soon as the socket closes, and so loses the Disconnect that came just before.
"""
import argparse
import asyncio
import hashlib
import json
import os
import sys
import types
import warnings
from urllib.parse import urlparse

warnings.filterwarnings('ignore')


def shim(name, **members):
    """A stand-in for a module of which Trinity's p2p package wants next to nothing."""
    module = types.ModuleType(name)
    module.__path__ = []
    module.__dict__.update(members)
    sys.modules[name] = module


# Trinity's pins (pysha3, cryptography<3.2, uvloop==0.14, py-evm==0.4.0a3) do not build on Python 3.11. The
# p2p package alone needs none of them but a stub of py-evm and Trinity's logger.
shim('eth')
from eth_utils import get_extended_debug_logger  # noqa: E402

shim('trinity')
shim('trinity._utils')
shim('trinity._utils.logging', get_logger=get_extended_debug_logger)

import p2p.auth  # noqa: E402
from eth_hash.auto import keccak  # noqa: E402
from eth_keys import keys  # noqa: E402
from p2p.commands import BaseCommand  # noqa: E402
from p2p.disconnect import DisconnectReason  # noqa: E402
from p2p.exceptions import PeerConnectionLost  # noqa: E402
from p2p.handshake import _select_capabilities  # noqa: E402
from p2p.kademlia import Address, Node as Remote  # noqa: E402
from p2p.p2p_proto import Disconnect, Hello, HelloPayload, P2PProtocolV5, Ping, Pong  # noqa: E402
from p2p.protocol import BaseProtocol, get_cmd_offsets  # noqa: E402
from p2p.transport import Transport  # noqa: E402

CLIENT = 'trinity/v0.1.0a37/interop'


class Eip8Initiator(p2p.auth.HandshakeInitiator):
    """Trinity dials with the auth of before EIP-8 only; its code for the new one is complete, but unused."""

    def __init__(self, remote, private_key, _use_eip8):
        super().__init__(remote, private_key, True)


async def eip8_handshake(initiator, reader, writer):
    """Trinity's own reads the 210 bytes of a plain ack, so it cannot take one of EIP-8."""
    nonce = keccak(os.urandom(32))
    auth = initiator.encrypt_auth_message(initiator.create_auth_message(nonce))
    writer.write(auth)
    prefix = await reader.readexactly(2)
    ack = prefix + await reader.readexactly(int.from_bytes(prefix, 'big'))
    ephemeral, remote_nonce = initiator.decode_auth_ack_message(ack)
    return initiator.derive_secrets(nonce, remote_nonce, ephemeral, auth, ack)


p2p.auth.HandshakeInitiator = Eip8Initiator
p2p.auth._handshake = eip8_handshake


def emit(event, **fields):
    print(json.dumps(dict(event=event, **fields)), flush=True)


def describe(protocol, code, payload):
    sha256 = hashlib.sha256(payload).hexdigest()
    return dict(protocol=protocol.name, code=code, size=len(payload), sha256=sha256)


class Bytes:
    """The codec of a payload that is handed on as it is."""

    def encode(self, payload):
        return payload

    def decode(self, data):
        return data


def capability(spec):
    name, version, length = spec.split('/')
    members = [dict(protocol_command_id=code, serialization_codec=Bytes()) for code in range(int(length))]
    commands = tuple(type(f'Raw{code}', (BaseCommand,), own) for code, own in enumerate(members))
    protocol = dict(name=name, version=int(version), commands=commands, command_length=int(length))
    return type(name, (BaseProtocol,), protocol)


def content(size, fill):
    """`size` bytes that are the same for every run: noise, or a text that snappy shortens."""
    if fill == 'text':
        text = b'the quick brown fox jumps over the lazy dog. '
        return (text * (size // len(text) + 1))[:size]
    return hashlib.shake_256(f'noise {size}'.encode()).digest(size)


class Session:
    """One connection, from Hello on."""

    def __init__(self, node, transport):
        self.node = node
        self.transport = transport
        self.base = P2PProtocolV5(transport, 0, snappy_support=False)
        self.protocols = []

    async def run(self):
        announced = tuple(protocol.as_capability() for protocol in self.node.protocols)
        own_key = self.node.key.public_key.to_bytes()
        self.base.send(Hello(HelloPayload(5, CLIENT, announced, 0, own_key)))
        try:
            while True:
                self.handle(await self.transport.recv())
        except PeerConnectionLost as lost:
            emit('closed', reset=isinstance(lost.__cause__, ConnectionResetError))
        finally:
            self.node.sessions.discard(self)
            await self.transport.close()

    def handle(self, message):
        code = message.command_id
        if code < self.base.command_length:
            command = self.base.get_command_type_for_command_id(code).decode(message, self.base.snappy_support)
            self.handle_base(command)
            return
        for protocol in self.protocols:
            if protocol.command_id_offset <= code < protocol.command_id_offset + protocol.command_length:
                command = protocol.get_command_type_for_command_id(code).decode(message, protocol.snappy_support)
                emit('message', **describe(protocol, command.protocol_command_id, command.payload))
                if self.node.echo:
                    self.send(protocol, command.protocol_command_id, command.payload)
                return
        emit('error', error=f'no capability has the message id {code:#x}')

    def handle_base(self, command):
        if isinstance(command, Hello):
            hello = command.payload
            caps = [f'{name}/{version}' for name, version in hello.capabilities]
            emit('hello', id=hello.remote_public_key.hex(), client=hello.client_version_string,
                 p2p=hello.version, port=hello.listen_port, caps=caps)
            snappy = hello.version >= 5
            self.base = P2PProtocolV5(self.transport, 0, snappy_support=snappy)
            own = {protocol.as_capability(): protocol for protocol in self.node.protocols}
            shared = [own[capability] for capability in _select_capabilities(hello.capabilities, tuple(own))]
            offsets = get_cmd_offsets(shared)
            self.protocols = [make(self.transport, offset, snappy) for make, offset in zip(shared, offsets)]
            # No capability in common: Trinity would leave. This one stays, to hear what the other side says.
            emit('connect', id=hello.remote_public_key.hex(), snappy=snappy,
                 shared=[dict(name=p.name, offset=p.command_id_offset) for p in self.protocols])
        elif isinstance(command, Disconnect):
            emit('disconnect', by='remote', reason=command.payload.value)
        elif isinstance(command, Ping):
            self.base.send(Pong(None))
            emit('ping')
        elif isinstance(command, Pong):
            emit('pong')

    def send(self, protocol, code, payload):
        protocol.send(protocol.commands[code](payload))
        emit('sent', **describe(protocol, code, payload))

    async def disconnect(self, reason):
        self.base.send(Disconnect(DisconnectReason(reason)))
        emit('disconnect', by='local', reason=reason)


class Node:
    def __init__(self, options):
        self.key = keys.PrivateKey(bytes.fromhex(options.key))
        self.protocols = [capability(spec) for spec in options.cap]
        self.echo = options.echo
        self.sessions = set()
        self.tasks = set()

    async def serve(self, transport):
        session = Session(self, transport)
        self.sessions.add(session)
        await session.run()

    async def accept(self, reader, writer):
        try:
            await self.serve(await Transport.receive_connection(reader, writer, self.key))
        except Exception as error:  # whatever went wrong, the harness shall see it
            emit('error', error=repr(error))

    async def dial(self, enode):
        url = urlparse(enode)
        public_key = keys.PublicKey(bytes.fromhex(url.username))
        remote = Remote.from_pubkey_and_addr(public_key, Address(url.hostname, url.port, url.port))
        try:
            await self.serve(await Transport.connect(remote, self.key))
        except Exception as error:  # as above
            emit('error', error=repr(error))

    async def command(self, cmd, **arguments):
        if cmd == 'dial':
            await self.dial(arguments['enode'])
        elif cmd == 'send':
            payload = content(arguments['size'], arguments['fill'])
            for session in self.sessions:
                for protocol in session.protocols:
                    if protocol.name == arguments['protocol']:
                        session.send(protocol, arguments['code'], payload)
        elif cmd == 'ping':
            for session in self.sessions:
                session.base.send(Ping(None))
        elif cmd == 'disconnect':
            for session in self.sessions:
                await session.disconnect(arguments['reason'])


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--key', required=True)
    parser.add_argument('--listen', type=int)
    parser.add_argument('--cap', action='append')
    parser.add_argument('--echo', action='store_true')
    options = parser.parse_args()
    options.cap = options.cap or ['demo/1/4']
    node = Node(options)
    identity = node.key.public_key.to_bytes().hex()

    if options.listen is None:
        emit('ready', id=identity)
    else:
        server = await asyncio.start_server(node.accept, '127.0.0.1', options.listen)
        port = server.sockets[0].getsockname()[1]
        emit('listening', id=identity, enode=f'enode://{identity}@127.0.0.1:{port}')

    stdin = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(stdin)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await stdin.readline():
        task = asyncio.create_task(node.command(**json.loads(line)))
        node.tasks.add(task)
        task.add_done_callback(node.tasks.discard)
    os._exit(0)


asyncio.run(main())
