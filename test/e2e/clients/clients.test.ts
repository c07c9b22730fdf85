import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test as base } from 'vitest'
import { startEmbeddedCore } from '../../../core/embedded/index.ts'
import { keys } from '../../app.ts'
import { installed, root, skipped, temporary } from '../processes.ts'
import { Server } from '../real-core.ts'
import { python, typescript, type Generated } from './generated.ts'

const languages = [
  { language: 'TypeScript', generate: typescript, program: 'program.ts', fence: 'ts', says: /^✨ openapi-typescript \S+\n🚀 \S+ → \S+ \[\S+\]\n*$/u },
  { language: 'Python', generate: python, program: 'program.py', fence: 'python', says: /^Generating muxi\n$/ }
]
const noPython = skipped(installed('python3') ? undefined : 'the generated client of Python: there is no python3')

type Generate = typeof typescript

const test = base.extend<{ url: string, clientOf: (generate: Generate) => Promise<Generated> }>({
  url: [async ({}, use) => {
    const core = await startEmbeddedCore({ userKey: keys.user, adminKey: keys.admin })
    {
      await using server = await Server.start({ env: { MUXI_CORE_URI: core.url, MUXI_CORE_ADMIN_KEY: keys.admin, MUXI_CORE_CLIENT_KEY: keys.user, MUXI_API_HOST: '127.0.0.1' } })
      await expect.poll(async () => (await server.ready()).status, { timeout: 10_000 }).toBe(200)
      await use(server.url)
    }
    await core.close()
  }, { scope: 'file' }],
  /** Generates each client once. */
  clientOf: [async ({}, use) => {
    await using folder = await temporary()
    const made = new Map<Generate, Promise<Generated>>()
    await use(async (generate) => {
      if (!made.has(generate)) made.set(generate, mkdir(join(folder.path, generate.name)).then(async () => await generate(join(folder.path, generate.name))))
      return await made.get(generate)!
    })
  }, { scope: 'file' }]
})

/** What the guide shows as a program of this language. */
async function snippet (fence: string): Promise<string> {
  const guide = await readFile(join(root, 'docs/guides/rest.md'), 'utf8')
  const [, part = ''] = guide.split('## Generated clients')
  const found = new RegExp('```' + fence + '\\n(.*?)```', 's').exec(part)
  return found![1]!
}

// The first case of Python may have to make an environment.
describe.for(languages)('a client generated for $language', { timeout: 180_000 }, ({ language, generate, program, fence, says }) => {
  const shown = language === 'Python' ? test.skipIf(noPython) : test

  shown('has every operation of the document, and its generator no complaint', async ({ clientOf }) => {
    const client = await clientOf(generate)
    const { paths } = JSON.parse(await readFile(join(root, 'openapi.json'), 'utf8')) as { paths: Record<string, Record<string, { operationId: string }>> }
    const operations = Object.values(paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId))

    expect(client.said).toMatch(says)
    expect(client.operations.toSorted()).toEqual(operations.toSorted())
  })

  shown('compiles, and calls chat, agents and contexts', async ({ clientOf, url }) => {
    const client = await clientOf(generate)
    const said = JSON.parse(await client.run(program, [url, keys.user, keys.admin, `of_${language}`])) as object

    expect(said).toEqual({
      chat: '6 * 7 = 42.',
      answered_at: language === 'Python' ? 'datetime' : 'string',
      refused: 'forbidden',
      unknown: 'unauthorized',
      created: 'created',
      listed: true,
      total: true,
      read: 'Counts',
      updated: 'updated',
      late: [412, 'precondition_failed'],
      again: 'Counts on',
      deleted: 'deleted',
      added: ['name', 'location'],
      changed: ['location.city'],
      context: { name: 'Ada', location: { city: 'Bergen' } }
    })
  })

  shown('does what the guide shows', async ({ clientOf, url }) => {
    const client = await clientOf(generate)
    const said = await client.run((await snippet(fence)).replace('http://localhost:8000', url), [], { MUXI_KEY: keys.user })

    expect(said).toBe('6 * 7 = 42.\n')
  })
})
