import { expect } from 'vitest'
import { call, type ContractTest, errorOf, fresh } from './target.ts'

const forAdmins = [
  ['GET', '/api/v1/agents'], ['POST', '/api/v1/agents'], ['POST', '/api/v1/agents/import'],
  ['GET', '/api/v1/agents/greeter'], ['PATCH', '/api/v1/agents/greeter'], ['DELETE', '/api/v1/agents/greeter'],
  ['GET', '/api/v1/agents/greeter/conversations'], ['DELETE', '/api/v1/agents/greeter/conversations'],
  ['GET', '/api/v1/agents/greeter/memory/search'], ['DELETE', '/api/v1/agents/greeter/memory'],
  ['GET', '/api/v1/users'], ['POST', '/api/v1/users/alice/context'], ['GET', '/api/v1/users/alice/context'], ['PATCH', '/api/v1/users/alice/context'], ['DELETE', '/api/v1/users/alice/context'],
  ['GET', '/api/v1/agents/greeter/mcp_servers'], ['POST', '/api/v1/agents/greeter/mcp_servers'], ['GET', '/api/v1/agents/greeter/mcp_servers/x'], ['DELETE', '/api/v1/agents/greeter/mcp_servers/x'],
  ['GET', '/api/v1/agents/greeter/knowledge'], ['POST', '/api/v1/agents/greeter/knowledge'], ['GET', '/api/v1/agents/greeter/knowledge/search'], ['DELETE', '/api/v1/agents/greeter/knowledge/x'],
  ['GET', '/api/v1/system/status'], ['GET', '/api/v1/system/usage']
] as const
const forUsers = [
  ['POST', '/api/v1/chat'], ['POST', '/api/v1/chat/stream'], ['POST', '/api/v1/agents/greeter/chat'], ['POST', '/api/v1/agents/greeter/chat/stream'],
  ['GET', '/api/v1/conversations/alice'], ['POST', '/mcp']
] as const

/** Who may call what, and how a request is named. */
export function accessCases (test: ContractTest): void {
  test.for([...forAdmins, ...forUsers])('%s %s turns away a caller without a key, and one with a wrong key', async ([method, path], { target }) => {
    for (const who of [undefined, { key: fresh('sk_muxi_user_wrong') }, { key: 'cl\u00e9' }]) {
      const res = await call(target, who, path, { method })

      expect(res.status).toBe(401)
      expect(res.headers.get('www-authenticate')).toMatch(/^Bearer/)
      expect(await errorOf(res)).toMatchObject({ code: 'unauthorized', request_id: res.headers.get('x-request-id') })
    }
  })

  test.for(forAdmins)('%s %s turns away a user key', async ([method, path], { target }) => {
    const res = await call(target, 'user', path, { method })

    expect(res.status).toBe(403)
    expect(await errorOf(res)).toMatchObject({ code: 'forbidden' })
  })

  test('an answer carries the request id that was sent, or a new one', async ({ target }) => {
    const own = fresh('my-request')
    const [kept, made, replaced] = await Promise.all([own, undefined, 'not a token'].map(async (id) =>
      await call(target, 'admin', '/api/v1/agents', { headers: id === undefined ? {} : { 'x-request-id': id } })))

    expect(kept!.headers.get('x-request-id')).toBe(own)
    expect(made!.headers.get('x-request-id')).toMatch(/^req_[\w-]{16}$/)
    expect(replaced!.headers.get('x-request-id')).toMatch(/^req_[\w-]{16}$/)
  })

  test('a failure names the request id that was sent', async ({ target }) => {
    const own = fresh('my-request')
    const res = await call(target, 'admin', '/api/v1/agents/nobody', { headers: { 'x-request-id': own } })

    expect(res.headers.get('x-request-id')).toBe(own)
    expect(await errorOf(res)).toMatchObject({ request_id: own })
  })

  test('an admin key may chat, though the Core takes no admin key there', async ({ target }) => {
    const res = await call(target, 'admin', '/api/v1/chat', { body: { content: 'A word from above', user_id: fresh('admin') } })

    expect(res.status).toBe(200)
  })
}
