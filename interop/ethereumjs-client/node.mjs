// @ethereumjs/client, a whole execution client, as a foreign node that the interop harness drives. It is run as its users run
// it, by its own command; what it says of its peers is asked of its JSON-RPC.
//
//   node node.mjs --data-dir DIR --listen PORT --bootnodes ENODE
//
// It makes its own key. PORT is that of TCP and UDP, and the one after it that of JSON-RPC. One JSON object a line on stdout: `listening` (`enode`);
// `peers`, the answer of admin_peers, whenever the client logs that they have changed; `log` for whatever it logs.
// The command `peers_now` asks for them at any other time, and is answered by an event of that name; the end of stdin ends
// the process.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs, stripVTControlCharacters } from 'node:util'

const HOST = '127.0.0.1'

const { values: options } = parseArgs({
  options: {
    'data-dir': { type: 'string' },
    listen: { type: 'string' },
    bootnodes: { type: 'string' },
  },
})
const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const print = (event) => process.stdout.write(JSON.stringify(event) + '\n')

const rpcPort = Number(options.listen) + 1
let requests = 0
const rpc = async (method) => {
  const body = JSON.stringify({ jsonrpc: '2.0', id: ++requests, method, params: [] })
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`http://${HOST}:${rpcPort}`, { method: 'POST', headers, body })
  const { result, error } = await response.json()
  if (error) throw new Error(`${method}: ${error.message}`)
  return result
}

const questions = {
  node: async () => print({ event: 'listening', enode: (await rpc('admin_nodeInfo')).enode }),
  peers: async () => print({ event: 'peers', peers: await rpc('admin_peers') }),
  peers_now: async () => print({ event: 'peers_now', peers: await rpc('admin_peers') }),
}
const ask = (question) => questions[question]().catch((error) => print({ event: 'error', error: String(error) }))

// What it logs, and what is asked of it then.
const occasions = [
  [/Started JSON RPC Server address=http/, 'node'],
  [/Peer (added|removed)/, 'peers'],
]

const client = spawn(
  // It dies when this process does.
  'setpriv',
  [
    '--pdeathsig', 'KILL', '--', process.execPath, here('node_modules/@ethereumjs/client/dist/esm/bin/cli.js'),
    '--gethGenesis', here('../ethrex/genesis.json'), '--dataDir', options['data-dir'],
    '--port', options.listen, '--extIP', HOST, '--bootnodes', options.bootnodes, '--discV4=true', '--discDns=false',
    '--isSingleNode=false', '--rpc', '--rpcAddr', HOST, '--rpcPort', String(rpcPort), '--logLevel=debug',
  ],
  // It writes logs where it is, too.
  { cwd: options['data-dir'], stdio: ['ignore', 'pipe', 'inherit'] },
)
client.on('exit', (code) => process.exit(code ?? 1))
createInterface({ input: client.stdout }).on('line', (line) => {
  const text = stripVTControlCharacters(line)
  print({ event: 'log', text })
  for (const [logged, question] of occasions) {
    if (logged.test(text)) ask(question)
  }
})
createInterface({ input: process.stdin })
  .on('line', (line) => ask(JSON.parse(line).cmd))
  .on('close', () => process.exit(0))
