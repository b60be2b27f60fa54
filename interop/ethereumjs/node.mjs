// @ethereumjs/devp2p as a foreign node that the interop harness drives: RLPx, and beside it discovery v4. The two know nothing
// of each other: wired together, they dial every node that is found, their own included.
//
//   node node.mjs --key <64 hex digits> [--listen PORT [--discovery]] [--cap demo/1/4]... [--echo] [--max-peers N]
//
// One JSON object a line: events on stdout, commands on stdin (dial, send, disconnect; see `commands` below; with --discovery
// those of discovery.mjs too).
// The end of stdin ends the process.
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { Common, Mainnet } from '@ethereumjs/common'
import { Peer, RLPx } from '@ethereumjs/devp2p'
import { bytesToUnprefixedHex as hex, hexToBytes, utf8ToBytes } from '@ethereumjs/util'
import snappy from 'snappyjs'
import { discover } from './discovery.mjs'

const { values: options } = parseArgs({
  options: {
    key: { type: 'string' },
    listen: { type: 'string' },
    discovery: { type: 'boolean', default: false },
    cap: { type: 'string', multiple: true, default: ['demo/1/4'] },
    echo: { type: 'boolean', default: false },
    'max-peers': { type: 'string', default: '25' },
  },
})

const print = (event) => process.stdout.write(JSON.stringify(event) + '\n')
const digest = (payload) => createHash('sha256').update(payload).digest('hex')
const describe = (protocol, code, payload) => ({
  protocol: protocol.name, code, size: payload.length, sha256: digest(payload),
})

// A capability that passes payloads through as bytes. The library exports no base class for one, but takes
// any class with these members; only the name `Peer` would confuse it.
const capability = (spec) => {
  const [name, version, length] = spec.split('/')
  class Raw {
    constructor(_version, peer, send) {
      this.name = name
      this.peer = peer
      this.sendFrame = send
    }

    send(code, payload) {
      // The capability compresses, while `Peer` decompresses before it calls `_handleMessage`.
      const snappyApplies = this.peer.getHelloMessage().protocolVersion >= 5
      this.sendFrame(code, snappyApplies ? snappy.compress(payload) : payload)
      print({ event: 'sent', ...describe(this, code, payload) })
    }

    _handleMessage(code, payload) {
      print({ event: 'message', ...describe(this, code, payload) })
      if (options.echo) this.send(code, payload)
    }
  }
  return { name, version: Number(version), length: Number(length), constructor: Raw }
}

// RLPx tells of a peer only after Hello went both ways; what a refused connection hears is seen here.
const observe = (method, look) => {
  const original = Peer.prototype[method]
  Peer.prototype[method] = function (...args) {
    const result = original.apply(this, args)
    look(this, ...args)
    return result
  }
}
observe('_handleHello', (peer) => {
  const hello = peer.getHelloMessage()
  print({
    event: 'hello', id: hex(hello.id), client: hello.clientId, p2p: hello.protocolVersion, port: hello.port,
    caps: hello.capabilities.map((c) => `${c.name}/${c.version}`),
  })
})
observe('_handleDisconnect', (peer) => print({ event: 'disconnect', by: 'remote', reason: peer._disconnectReason }))
observe('_sendDisconnect', (_, reason) => print({ event: 'disconnect', by: 'local', reason }))
observe('_onSocketClose', (_, failed) => print({ event: 'closed', reset: failed }))

const key = hexToBytes(`0x${options.key}`)
const rlpx = new RLPx(key, {
  capabilities: options.cap.map(capability),
  clientId: utf8ToBytes('ethereumjs-devp2p/v10.0.0/interop'),
  common: new Common({ chain: Mainnet }),
  listenPort: null,
  maxPeers: Number(options['max-peers']),
})
const peers = new Set()
rlpx.events.on('listening', async () => {
  const { address, port } = rlpx._server.address()
  if (options.discovery) Object.assign(commands, await discover(key, port, print))
  print({ event: 'listening', id: hex(rlpx.id), enode: `enode://${hex(rlpx.id)}@${address}:${port}` })
})
rlpx.events.on('peer:added', (peer) => {
  peers.add(peer)
  print({
    event: 'connect', id: hex(peer.getId()),
    eip8: peer._eciesSession._gotEIP8Auth || peer._eciesSession._gotEIP8Ack,
    shared: peer._protocols.map(({ protocol, offset, length }) => ({ name: protocol.name, offset, length })),
  })
})
rlpx.events.on('peer:removed', (peer) => peers.delete(peer))
rlpx.events.on('peer:error', (_, error) => print({ event: 'error', error: String(error), code: error.code ?? null }))
rlpx.events.on('error', (error) => print({ event: 'error', error: String(error), code: error.code ?? null }))

// `size` bytes that are the same for every run: noise, or a text that snappy shortens.
const payload = ({ size, fill }) =>
  fill === 'text'
    ? Buffer.alloc(size, 'the quick brown fox jumps over the lazy dog. ')
    : createHash('shake256', { outputLength: size }).update(`noise ${size}`).digest()

const commands = {
  dial: ({ enode }) => {
    const url = new URL(enode)
    const target = { id: hexToBytes(`0x${url.username}`), address: url.hostname, tcpPort: Number(url.port) }
    rlpx.connect(target).catch((error) => print({ event: 'dial_failed', error: String(error) }))
  },
  send: ({ protocol, code, ...content }) => {
    for (const peer of peers) {
      for (const { protocol: shared } of peer._protocols) {
        if (shared.name === protocol) shared.send(code, payload(content))
      }
    }
  },
  disconnect: ({ reason }) => peers.forEach((peer) => peer.disconnect(reason)),
}
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { cmd, ...rest } = JSON.parse(line)
    commands[cmd](rest)
  })
  .on('close', () => process.exit(0))

if (options.listen !== undefined) rlpx.listen(Number(options.listen), '127.0.0.1')
else print({ event: 'ready', id: hex(rlpx.id) })
