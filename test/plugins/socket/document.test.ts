import { Ajv } from 'ajv'
import { expect } from 'vitest'
import { clientFrames, closeCodes, serverFrames } from '../../../schemas/socket.ts'
import { read, write } from '../../../plugins/socket/frames.ts'
import { sharedWith } from '../../app.ts'

interface Document {
  asyncapi: string
  servers: Record<string, { host: string, protocol: string, security: { $ref: string }[] }>
  channels: { socket: { address: string, messages: Record<string, { $ref: string }> } }
  operations: Record<string, { action: string, messages: { $ref: string }[], reply?: { messages: { $ref: string }[] } }>
  components: { messages: Record<string, { name: string, summary?: string, payload: object }>, schemas: Record<string, object>, securitySchemes: object }
}

const test = sharedWith({})
const documentOf = async (app: { inject: (url: string) => Promise<{ json: <T>() => T, headers: object, statusCode: number }> }) => (await app.inject('/asyncapi.json')).json<Document>()

test('the document is open to all, and may be asked for again', async ({ app }) => {
  const answer = await app.inject('/asyncapi.json')
  const again = await app.inject({ url: '/asyncapi.json', headers: { 'if-none-match': String(answer.headers.etag) } })

  expect([answer.statusCode, again.statusCode]).toEqual([200, 304])
  expect(answer.json()).toMatchObject({ asyncapi: '3.0.0', channels: { socket: { address: '/api/v1/ws' } } })
})

test('it has every frame of the table, in both directions, with what it is for', async ({ app }) => {
  const { components, channels, operations } = await documentOf(app)
  const names = [...Object.keys(clientFrames).map((type) => `client_${type}`), ...Object.keys(serverFrames).map((type) => `server_${type}`)]

  expect(Object.keys(components.messages)).toEqual(names)
  expect(Object.keys(channels.socket.messages)).toEqual(names)
  expect(Object.values(components.messages).filter(({ summary }) => summary === undefined)).toEqual([])
  expect(Object.keys(operations).filter((name) => name.startsWith('receive_'))).toEqual(Object.keys(clientFrames).map((type) => `receive_${type}`))
})

test('each of its references leads somewhere', async ({ app }) => {
  const document = await documentOf(app)
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path!)
  const lost = references.filter((path) => path.split('/').reduce<unknown>((node, name) => (node as Record<string, unknown> | undefined)?.[name], document) === undefined)

  expect(references.length).toBeGreaterThan(50)
  expect(lost).toEqual([])
})

test('what it says of a frame is what the server holds it to', async ({ app }) => {
  const { components } = await documentOf(app)
  const ajv = new Ajv({ strict: false, formats: { 'date-time': true } })
  ajv.addSchema({ $id: 'document', components })
  const check = (name: string) => ajv.compile({ $ref: `document#/components/messages/${name}/payload` })
  const good = { type: 'chat', id: 'a', data: { content: 'Hello', agent_id: 'greeter', attachments: [{ type: 'image/png', name: 'a.png', data: 'aGVsbG8=' }] } }
  const bad = { ...good, data: { ...good.data, more: 1 } }
  const signal = { type: 'rtc_signal', data: { type: 'candidate', session_id: 'rtc_1', participant_id: 'prt_1', candidate: null } }

  expect([check('client_chat')(good), check('client_chat')(bad), check('client_rtc_signal')(signal)]).toEqual([true, false, true])
  expect([good, bad, signal].map((frame) => 'failure' in read(Buffer.from(JSON.stringify(frame)), false))).toEqual([false, true, false])
})

test('a frame of the server that is not as its contract says is not sent', () => {
  expect(() => write({ type: 'chat_content', id: 'a', data: { content: 7 } } as never)).toThrow('the frame chat_content is not as its contract says: frame/data/content must be string')
  expect(write({ type: 'pong', id: 'a' })).toBe('{"type":"pong","id":"a"}')
})

test('it names every close code, and every way to show a key', async ({ app }) => {
  const document = await documentOf(app)

  expect(Object.keys(closeCodes).filter((code) => !JSON.stringify(document).includes(`| ${code} |`))).toEqual([])
  expect(Object.keys(document.components.securitySchemes)).toEqual(['key', 'header', 'subprotocol', 'ticket'])
})

test('the operation is in the OpenAPI document, and is no tool', async ({ app }) => {
  const { paths } = app.openapi() as { paths: Record<string, Record<string, { operationId: string, responses: object }>> }

  expect(paths['/api/v1/ws']!.get).toMatchObject({ operationId: 'ws_connect', responses: { 101: expect.any(Object), 426: expect.any(Object) } })
  expect(app.mcp.tools.has('ws_connect')).toBe(false)
})
