// @chainsafe/discv5 as a foreign node that the interop harness drives, with the settings that the library begins with.
//
//   node node.mjs --key <64 hex digits> --listen PORT [--address 127.0.0.1] [--bootnodes ENR]
//
// It speaks discovery v5 and nothing else: its record has no TCP port. A TALKREQ of the protocol `echo` comes back as it was,
// any other one empty. One JSON object a line: events on stdout, commands on stdin (see `commands` below); the end of stdin
// ends the process. A node that it is told of by --bootnodes is in its table, and hears nothing of it before it has something
// to ask.
import { createECDH } from 'node:crypto'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { Discv5 } from '@chainsafe/discv5'
import { ENR, SignableENR } from '@chainsafe/enr'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import { multiaddr } from '@multiformats/multiaddr'

const { values: options } = parseArgs({
  options: {
    key: { type: 'string' },
    listen: { type: 'string' },
    address: { type: 'string', default: '127.0.0.1' },
    bootnodes: { type: 'string' },
  },
})

// The TALKREQ protocol that is answered with what was asked.
const ECHO = 'echo'

// The message types of discv5-wire.md.
const TYPES = { 1: 'ping', 2: 'pong', 3: 'findnode', 4: 'nodes', 5: 'talkreq', 6: 'talkresp' }

// Sequence numbers are big integers; none comes near where a number is no longer exact.
const plain = (_, value) => (typeof value === 'bigint' ? Number(value) : value)
const print = (event) => process.stdout.write(JSON.stringify(event, plain) + '\n')
const hex = (bytes) => Buffer.from(bytes).toString('hex')
const bytes = (digits) => Uint8Array.from(Buffer.from(digits, 'hex'))
const describe = (record) => ({ id: record.nodeId, enr: record.encodeTxt() })
const remote = (address) => {
  const { host, port } = address.toOptions()
  return `${host}:${port}`
}

const key = bytes(options.key)
const privateKey = privateKeyFromRaw(key)
const record = SignableENR.createFromPrivateKey(privateKey)
const node = Discv5.create({
  enr: record,
  privateKey,
  bindAddrs: { ip4: multiaddr(`/ip4/${options.address}/udp/${options.listen}`) },
})

const sessions = node.sessionService
sessions.on('established', ({ socketAddr }, enr, _direction, verified) =>
  print({ event: 'v5_session', ...describe(enr), remote: remote(socketAddr), verified }))
const received = ({ nodeId, socketAddr }, { type }) =>
  print({ event: 'v5_received', type: TYPES[type] ?? 'unknown', id: nodeId, remote: remote(socketAddr) })
sessions.on('request', received)
sessions.on('response', received)
sessions.transport.on('decodeError', (error, from) =>
  print({ event: 'log', message: `not decoded: ${error.message}`, remote: remote(from) }))
node.on('enrAdded', (enr) => print({ event: 'v5_node_added', ...describe(enr) }))
node.on('talkReqReceived', (from, _, { id, protocol, request }) => {
  const name = Buffer.from(protocol).toString()
  print({ event: 'v5_talk_request', id: from.nodeId, protocol: name, payload: hex(request) })
  node.sendTalkResp(from, id, name === ECHO ? request : new Uint8Array())
})

// The id of the next request, for a test that wants one of its own: the library draws eight bytes.
let nextId
const send = node.sendRpcRequest
node.sendRpcRequest = function (request) {
  if (nextId !== undefined) request.request.id = nextId
  nextId = undefined
  return send.call(this, request)
}

// Each takes the `enr` of whom to ask, or a `target`, a node id; it ends in an event of the name beside it, or in `v5_failed`.
// A ping may be given a `request_id`, a number: what the library makes of it are its bytes without leading zeros.
const commands = {
  v5_ping: ['v5_pong', async ({ request_id }, whom) => {
    nextId = request_id === undefined ? undefined : BigInt(request_id)
    const { enrSeq, addr } = await node.sendPing(whom)
    return { seq: enrSeq, endpoint: `${addr.ip.octets.join('.')}:${addr.port}` }
  }],
  v5_find_node: ['v5_nodes', async ({ distances }, whom) => {
    const found = await node.sendFindNode(whom, distances)
    return { nodes: found.map(describe) }
  }],
  v5_talk: ['v5_talk_response', async ({ protocol, payload }, whom) => {
    const answer = await node.sendTalkReq(whom, bytes(payload), protocol)
    return { payload: hex(answer) }
  }],
  v5_lookup: ['v5_lookup_result', async ({ target }) => {
    const found = await node.findNode(target)
    return { target, nodes: found.map(describe) }
  }],
  v5_table: ['v5_table', async () => ({ nodes: node.kadValues().map(describe) })],
}

await node.start()
const { port } = sessions.transport.ip4.socket.address()
record.ip = options.address
record.udp = port
for (const boot of options.bootnodes?.split(',') ?? []) node.addEnr(boot)
const curve = createECDH('secp256k1')
curve.setPrivateKey(key)
// Without the byte that says that it is not compressed.
const publicKey = curve.getPublicKey('hex').slice(2)
print({
  event: 'listening', ...describe(record), enode: `enode://${publicKey}@${options.address}:0?discport=${port}`,
  discovery: `${options.address}:${port}`,
})

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { cmd, ...command } = JSON.parse(line)
    const [event, run] = commands[cmd]
    const whom = command.enr && ENR.decodeTxt(command.enr)
    const id = whom?.nodeId
    run(command, whom).then(
      (result) => print({ event, id, ...result }),
      (error) => print({ event: 'v5_failed', command: cmd, id, error: String(error.code ?? error) }),
    )
  })
  .on('close', () => process.exit(0))
