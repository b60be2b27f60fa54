// The discovery v4 of @ethereumjs/devp2p (its `DPT`), for node.mjs: what it sends and receives becomes events, and commands
// make it ping and ask. Apart from those it is quiet: it answers, and pings who pings it.
import { createSocket } from 'node:dgram'
import { randomBytes } from 'node:crypto'
import { DPT } from '@ethereumjs/devp2p'
import { RLP } from '@ethereumjs/rlp'
import { bytesToUnprefixedHex as hex, hexToBytes } from '@ethereumjs/util'

const HOST = '127.0.0.1'

// Longer than any test, in ms: it asks its nodes for others when it is told to, and at no other time.
const REFRESH = 36_000_000

// The packet types of discv4.md; the library itself knows four of them.
const TYPES = { 1: 'ping', 2: 'pong', 3: 'findnode', 4: 'neighbors', 5: 'enrrequest', 6: 'enrresponse' }
const TYPE_AT = 97

// The nodes of a NEIGHBORS packet. The library itself drops their ids.
const neighbors = (message) =>
  RLP.decode(message.subarray(TYPE_AT + 1), true).data[0].map(([ip, udp, tcp, id]) => ({
    id: hex(id), ip: ip.join('.'), udp: number(udp), tcp: number(tcp),
  }))
const number = (bytes) => bytes.reduce((sum, byte) => sum * 256 + byte, 0)

const describe = ({ id, address, udpPort, tcpPort }) => ({ id: id && hex(id), ip: address, udp: udpPort, tcp: tcpPort })

const parse = (enode) => {
  const url = new URL(enode)
  const port = Number(url.port)
  const udpPort = Number(url.searchParams.get('discport') ?? port)
  return { id: hexToBytes(`0x${url.username}`), address: url.hostname, tcpPort: port, udpPort }
}

// Starts it on a UDP port; the commands that it takes, once it listens.
export const discover = (key, port, print) =>
  new Promise((resolve) => {
    const endpoint = { address: HOST, udpPort: port, tcpPort: port }
    const observed = () => {
      const socket = createSocket('udp4')
      socket.on('message', (message, { address, port }) => {
        const type = TYPES[message[TYPE_AT]] ?? 'unknown'
        const nodes = type === 'neighbors' ? neighbors(message) : undefined
        print({ event: 'v4_received', type, remote: `${address}:${port}`, size: message.length, nodes })
      })
      return socket
    }
    const dpt = new DPT(key, { endpoint, refreshInterval: REFRESH, createSocket: observed })
    const server = dpt._server
    dpt.events.on('error', (error) => print({ event: 'v4_error', error: String(error) }))
    dpt.events.on('peer:added', (node) => print({ event: 'v4_node_added', ...describe(node) }))
    dpt.events.on('listening', () =>
      resolve({
        // Pings it, and keeps it if it answers.
        v4_ping: ({ enode }) =>
          dpt.addPeer(parse(enode)).then(
            (node) => print({ event: 'v4_pong', ...describe(node) }),
            (error) => print({ event: 'v4_ping_failed', error: String(error) }),
          ),
        v4_find_node: ({ enode, target }) =>
          server.findneighbours(parse(enode), target ? hexToBytes(`0x${target}`) : randomBytes(64)),
        v4_table: () => print({ event: 'v4_table', nodes: dpt.getPeers().map(describe) }),
      }))
    dpt.bind(port, HOST)
  })
