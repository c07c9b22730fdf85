import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { listensAt } from './listen.ts'

// A MUXI Core of constants: it costs every peer the same, and its own CPU is not counted.

const envelope = (object: string, type: string, data: object) =>
  ({ object, timestamp: 1_795_424_298_295, type, request: { id: 'req_WSDlM95DDChyhdAq3S_m2', idempotency_key: null }, success: true, error: null, data })
const agents = [
  { id: 'greeter', name: 'Greeter', description: 'Welcomes people and talks about anything', system_message: 'You welcome people.', source: 'formation' },
  { id: 'analyst', name: 'Analyst', description: 'Works with numbers', system_message: 'You work with numbers.', source: 'formation' }
]
const paths = { '/v1/health': { get: {} }, '/v1/chat': { post: {} }, '/v1/agents': { get: {} }, '/v1/auth/introspect': { post: {} } }

const answers: Record<string, object> = {
  'GET /v1/health': { status: 'healthy', version: '1.0.0', uptime_seconds: 2 },
  'GET /openapi.json': { openapi: '3.1.0', info: { title: 'MUXI Core of constants', version: '1.0.0' }, paths },
  'GET /v1/overlord/soul': envelope('overlord_soul', 'overlord.soul', { soul: '' }),
  'POST /v1/auth/introspect': { active: true, scope: 'admin' },
  'GET /v1/agents': envelope('agent_list', 'agent.list', { agents, count: agents.length })
}
const bodies = new Map(Object.entries(answers).map(([route, answer]) => [route, Buffer.from(JSON.stringify(answer))]))
const missing = Buffer.from(JSON.stringify({ ...envelope('error', 'error.not_found', {}), success: false, error: { code: 'RESOURCE_NOT_FOUND', message: 'Not found' } }))

const server = createServer((req, res) => {
  const body = bodies.get(`${req.method} ${req.url}`)
  req.resume()
  res.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json', 'content-length': (body ?? missing).length }).end(body ?? missing)
})
server.listen(0, '127.0.0.1', () => { listensAt((server.address() as AddressInfo).port) })
