import { mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { expect } from 'vitest'
import { paragraphsOf } from '../../../core/embedded/paragraphs.ts'
import { TextIndex, termsOf } from '../../../core/embedded/text-index.ts'
import { test, textOf, tokensOf } from './core.ts'

const path = '/v1/agents/analyst/knowledge'
const data = async <T = Record<string, unknown>>(res: Response) => (await res.json() as { data: T }).data
const post = (body: object) => ({ method: 'POST', body })
const pricing = { id: 'pricing', description: 'What it costs', source_type: 'content', content: '# Plans\n\nThree tiers: free, team and enterprise.\n\nPayment is due within thirty days.' }

test('a text becomes documents that are listed, searched and removed', async ({ asAdmin }) => {
  const made = await asAdmin(path, post(pricing))
  const list = await data(await asAdmin(path))
  const found = await data(await asAdmin(`${path}/search?query=pricing+tier&threshold=0.4`))
  const agent = await data(await asAdmin('/v1/agents/analyst'))
  const gone = await data(await asAdmin(`${path}/pricing`, { method: 'DELETE' }))
  const source = { id: 'pricing', description: 'What it costs', document_count: 2, created_at: expect.any(Number) }

  expect(made.status).toBe(201)
  expect(await made.json()).toMatchObject({ type: 'knowledge.created', data: source })
  expect(list).toEqual({ agent_id: 'analyst', knowledge_sources: [source], count: 1 })
  expect(agent).toMatchObject({ knowledge_sources: [source] })
  expect(found).toEqual({
    agent_id: 'analyst',
    query: 'pricing tier',
    results: [{ content: '# Plans\nThree tiers: free, team and enterprise.', similarity: expect.any(Number), knowledge_id: 'pricing', document_id: 'pricing_1' }],
    count: 1
  })
  expect(gone).toEqual({ id: 'pricing', deleted: true })
  expect(await data(await asAdmin(`${path}/search?query=tiers&threshold=0`))).toMatchObject({ count: 0 })
  expect((await asAdmin(`${path}/pricing`, { method: 'DELETE' })).status).toBe(404)
})

test('an id that is taken is a conflict, also while the first one is being read', async ({ asAdmin }) => {
  const statuses = (await Promise.all([asAdmin(path, post(pricing)), asAdmin(path, post(pricing))])).map(({ status }) => status)

  expect(statuses.sort()).toEqual([201, 409])
})

test('what names no text is refused', async ({ asAdmin }) => {
  const bodies = [{ id: 'search' }, { id: '../x' }, { content: undefined }, { content: '  \n ' }, { path: 'a.txt' }, { source_type: 'file' }, { source_type: 'url' }]
  for (const body of bodies) expect((await asAdmin(path, post({ ...pricing, ...body }))).status).toBe(422)

  for (const query of ['', '?query=', '?query=x&top_k=51', '?query=x&threshold=1.1', '?query=x&threshold=abc']) expect((await asAdmin(`${path}/search${query}`)).status).toBe(422)
  expect((await asAdmin('/v1/agents/eve/knowledge')).status).toBe(404)
})

test('a file is read below the working folder and nowhere else', async ({ asAdmin }) => {
  await using inside = await folder(process.cwd())
  await using outside = await folder(tmpdir())
  await writeFile(join(inside.path, 'faq.md'), 'Returns are free of charge.')
  await writeFile(join(outside.path, 'secret.txt'), 'Spies are everywhere.')
  await symlink(join(outside.path, 'secret.txt'), join(inside.path, 'link.txt'))
  await writeFile(join(inside.path, 'bytes.txt'), Buffer.from([0xff, 0xfe, 0x00]))
  await writeFile(join(inside.path, 'large.txt'), 'x')
  await truncate(join(inside.path, 'large.txt'), 5 * 1024 * 1024 + 1)
  const near = relative(process.cwd(), inside.path)
  const from = async (file: string, id = 'faq') => (await asAdmin(path, post({ id, description: '', source_type: 'file', path: file }))).status

  expect(await from(`${near}/faq.md`)).toBe(201)
  expect(await data(await asAdmin(`${path}/search?query=are+returns+free`))).toMatchObject({ results: [{ content: 'Returns are free of charge.', similarity: 1, knowledge_id: 'faq' }] })
  expect(await from(`${near}/link.txt`, 'x')).toBe(404)
  expect(await from(`${near}/none.txt`, 'x')).toBe(404)
  for (const file of [`${near}/bytes.txt`, `${near}/large.txt`, `${near}/../../etc/x.txt`, join(outside.path, 'secret.txt'), 'LICENSE']) expect(await from(file, 'x')).toBe(422)
})

test('the built-in model answers from what the agent knows, and only when that fits', async ({ asAdmin, asAlice }) => {
  await asAdmin(path, post(pricing))
  const answer = async (message: string) => textOf(await tokensOf(await asAlice('/v1/chat', { method: 'POST', body: { message, agent_id: 'analyst' } })))

  expect(await answer('When is the payment due?')).toBe('From pricing: Payment is due within thirty days.')
  expect(await answer('How is the weather in Oslo?')).toContain('You said')
  expect(await answer('6 times 7')).toBe('6 * 7 = 42.')
})

test('a message goes to the agent that knows of it', async ({ asAdmin, asAlice }) => {
  await asAdmin('/v1/agents/analyst/knowledge', post({ ...pricing, id: 'harbour', description: 'Ships and quays', content: 'The ferry leaves from quay three.' }))
  const tokens = await tokensOf(await asAlice('/v1/chat', { method: 'POST', body: { message: 'Which quay has the ferry?' } }))

  expect(tokens.at(-1)).toMatchObject({ agent_used: 'analyst', content: 'From harbour: The ferry leaves from quay three.' })
})

test('texts with more of the words, and with rarer ones, come first', async () => {
  const index = new TextIndex()
  await index.add(['The red boat sails', 'A red house', 'A blue house', 'A red car'].map((text, at) => ({ id: String(at), text })))
  const ids = (query: string, threshold?: number) => index.search(query, { limit: 10, threshold }).map(({ id }) => id)

  expect(ids('red boat')[0]).toBe('0')
  expect(ids('blue or red')[0]).toBe('2')
  expect(ids('boats')).toEqual(['0'])
  expect(ids('bout sailing', 0.1)).toEqual([])
  expect(ids('the a of')).toEqual([])
  expect(ids('red boat', 0.9)).toEqual(['0'])
  expect(index.search('red', { limit: 10 }).every(({ similarity }) => similarity > 0 && similarity <= 1)).toBe(true)
})

test('words are compared without case, accents and plurals, also where no spaces part them', () => {
  expect(termsOf('Crêpes, CITIES & the Straße')).toEqual(['crepe', 'city', 'straße'])
  expect(termsOf('東京に住んでいます')).toContain('東京')
})

test('paragraphs are cut at empty lines, keep their heading, and are never long', () => {
  expect(paragraphsOf('a\r\n\r\n \r\nb\nc\n\n# D\n\ne\n\n# end')).toEqual(['a', 'b\nc', '# D\ne', '# end'])
  const long = paragraphsOf('word '.repeat(2000) + 'x'.repeat(5000))
  expect(Math.max(...long.map(({ length }) => length))).toBeLessThanOrEqual(2000)
  expect(long.join('').replace(/\s/g, '')).toBe('word'.repeat(2000) + 'x'.repeat(5000))
})

async function folder (where: string): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(where, '.knowledge-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}
