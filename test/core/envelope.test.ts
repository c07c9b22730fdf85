import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { dataOf } from '../../core/envelope.ts'
import type { ApiError } from '../../errors.ts'

const folder = new URL('samples/', import.meta.url)
const statuses = new Map(readFileSync(new URL('answers.txt', folder), 'utf8').split('\n').filter(Boolean).map((line) => {
  const [file = '', status] = line.split(' ')
  return [file, Number(status)]
}))

/** What the server makes of an answer that the real Core once gave. */
function read (file: string, { what, own = false }: { what?: string, own?: boolean } = {}): unknown {
  return dataOf({ status: statuses.get(file)!, headers: {}, text: readFileSync(new URL(file, folder), 'utf8') }, { what, own })
}

function refusal (attempt: () => unknown): ApiError {
  try {
    attempt()
  } catch (error) {
    return error as ApiError
  }
  throw new Error('it was not refused')
}

const answer = (status: number, body: unknown, headers = {}) => ({ status, headers, text: typeof body === 'string' ? body : JSON.stringify(body) })
const plain = { what: undefined, own: false }

describe('an answer of the real Core', () => {
  test('is its data', () => {
    expect(read('agents.json')).toMatchObject({ agents: [{ id: 'greeter', source: 'formation' }, { id: 'analyst' }], count: 2 })
    expect(read('agent.json')).toMatchObject({ id: 'greeter', name: 'Greeter' })
    expect(read('status.json')).toMatchObject({ agents: { count: 2 } })
    expect(read('chat.json')).toMatchObject({ message: { role: 'assistant', content: 'echo: What is two plus six?' }, session_id: 's-1' })
    expect(read('sessions.json')).toMatchObject({ count: 2 })
    expect(read('messages.json')).toMatchObject({ session_id: 's-1', count: 4 })
    expect(read('memories.json')).toEqual({ memories: [], count: 0 })
  })

  test.for([
    ['error-400-no-user.json', 'bad_request', 'the MUXI Core refused the input', { core_code: 'INVALID_REQUEST' }],
    ['error-401-no-key.json', 'unauthorized', 'invalid or missing API key', undefined],
    ['error-401-wrong-key.json', 'unauthorized', 'invalid or missing API key', undefined],
    ['error-404-agent.json', 'not_found', 'the MUXI Core does not have it', { core_code: 'AGENT_NOT_FOUND' }],
    ['error-404-path.json', 'not_found', 'the MUXI Core does not have it', { core_code: 'RESOURCE_NOT_FOUND' }],
    ['error-405.json', 'not_implemented', 'this MUXI Core cannot do that', { core_code: 'METHOD_NOT_ALLOWED' }],
    ['error-422.json', 'bad_request', 'the MUXI Core refused the input', { core_code: 'INVALID_PARAMS', errors: [{ field: 'message', message: 'Field required' }] }],
    ['error-422-not-json.json', 'bad_request', 'the MUXI Core refused the input', { core_code: 'INVALID_PARAMS', errors: [{ field: '1', message: 'JSON decode error' }] }]
  ] as const)('%s is %s', ([file, code, message, details]) => {
    const failure = refusal(() => read(file))

    expect(failure).toMatchObject({ name: 'ApiError', code, message })
    expect(failure.details).toEqual(details)
  })

  test('names what was asked for', () => {
    expect(refusal(() => read('error-404-agent.json', { what: 'agent nobody' })).message).toBe('no agent nobody')
    expect(refusal(() => dataOf(answer(409, {}), { what: 'agent ada', own: false })).message).toBe('agent ada exists already')
  })

  test('blames this server where its own key was refused', () => {
    expect(refusal(() => read('error-401-wrong-key.json', { own: true }))).toMatchObject({ code: 'core_error', statusCode: 502, message: 'the MUXI Core refused this server\'s own key' })
    expect(refusal(() => dataOf(answer(403, {}), { what: undefined, own: true })).code).toBe('core_error')
  })
})

test.for([[403, 'forbidden'], [409, 'conflict'], [429, 'core_unavailable'], [500, 'core_error'], [501, 'not_implemented'], [502, 'core_error'], [503, 'core_unavailable'], [504, 'core_timeout'], [418, 'core_error']] as const)('status %i is %s, whatever type the envelope names', ([status, code]) => {
  const body = { success: false, type: 'error.not_found', error: { code: 'X', message: 'secret SQL' }, data: {} }

  expect(refusal(() => dataOf(answer(status, body), plain)).code).toBe(code)
  expect(refusal(() => dataOf(answer(status, '<html>'), plain)).code).toBe(code)
})

test('the message of a failing Core goes no further', () => {
  for (const status of [400, 401, 403, 404, 422, 500, 503]) {
    const { message, details, cause } = refusal(() => dataOf(answer(status, { success: false, error: { code: 'INTERNAL_ERROR', message: 'INSERT INTO users', data: { hint: 'INSERT INTO users' } } }), plain))
    expect(JSON.stringify({ message, details, cause })).not.toContain('INSERT')
  }
})

test('retry-after is passed on when it is a sensible number of seconds', () => {
  const after = (value: string | undefined) => refusal(() => dataOf(answer(503, {}, { 'retry-after': value }), plain)).retryAfter

  expect([after('7'), after(undefined), after('soon'), after('-1'), after('99999')]).toEqual([7, 2, 2, 2, 2])
})

test.for(['', 'null', '5', '[]', '{}', '<html></html>', '{"success":true', '{"success":"maybe","data":{}}', '{"success":true}', '{"success":false,"data":{}}'])('200 with %s is core_error, and its text stays inside', (text) => {
  const failure = refusal(() => dataOf(answer(200, text), plain))

  expect(failure).toMatchObject({ code: 'core_error', message: 'the MUXI Core gave an answer that cannot be used', details: undefined })
})

test('a redirection is no answer', () => {
  expect(refusal(() => dataOf(answer(302, { success: true, data: {} }), plain)).code).toBe('core_error')
})

test('validation errors of another form are left out', () => {
  const failure = refusal(() => dataOf(answer(422, { success: false, error: { code: 5, data: { validation_errors: [null, 'x', { field: 1 }, { field: 'a', msg: 'b', extra: 'c' }] } } }), plain))

  expect(failure.details).toEqual({ errors: [{ field: 'a', message: 'b' }] })
})
