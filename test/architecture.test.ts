import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

const builtin = /^node:/
/** Which npm packages a folder may use; unlisted folders may use any. */
const packages: Record<string, RegExp> = {
  schemas: /^@sinclair\/typebox$/,
  core: /^(?:undici|eventsource-parser|jose)$/,
  routes: /^@fastify\/type-provider-typebox$/
}
/** Which of our own files a folder may import. `self` is the importing file's own plugin. */
const own: Record<string, (target: string, self: string, typeOnly: boolean) => boolean> = {
  schemas: (target) => target.startsWith('schemas/'),
  'errors.ts': (target) => target.startsWith('schemas/'),
  'config.ts': (target) => target.startsWith('schemas/'),
  core: (target) => target.startsWith('schemas/') || target === 'errors.ts' || (target.startsWith('core/') && !target.startsWith('core/embedded/')),
  'core/embedded': (target) => target.startsWith('schemas/') || target.startsWith('core/embedded/') || target === 'package.json',
  plugins: (target, self, typeOnly) => target.startsWith('schemas/') || target === 'errors.ts' || (target === 'config.ts' && typeOnly) ||
    (target.startsWith('core/') && !target.startsWith('core/embedded/')) || pluginOf(target) === self,
  routes: (target, _, typeOnly) => target.startsWith('schemas/') || target === 'errors.ts' || (target === 'core/types.ts' && typeOnly),
  'app.ts': (target, _, typeOnly) => target.startsWith('plugins/') || target === 'errors.ts' || target === 'package.json' || (target === 'config.ts' && typeOnly),
  'server.ts': (target, _, typeOnly) => target === 'app.ts' || (target === 'config.ts' && typeOnly),
  'index.ts': (target) => ['app.ts', 'config.ts', 'server.ts'].includes(target),
  'testing.ts': (target) => target === 'core/embedded/index.ts',
  cli: (target) => !target.startsWith('plugins/') && !target.startsWith('routes/') && !target.startsWith('test/')
}

interface Import { from: string, to: string, typeOnly: boolean }

function sources (folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts')).map((name) => join(folder, name))
}

const files = [...['schemas', 'core', 'plugins', 'routes', 'cli'].flatMap(sources), 'errors.ts', 'config.ts', 'app.ts', 'server.ts', 'index.ts', 'testing.ts']

function importsOf (file: string): Import[] {
  const text = readFileSync(file, 'utf8')
  return [...text.matchAll(/^(?:import|export)\s+(type\s)?(?:[^'"]*?\sfrom\s)?['"]([^'"]+)['"]|import\(['"]([^'"]+)['"]\)/gm)].map(([, type, still, dynamic]) => {
    const to = still ?? dynamic ?? ''
    return { from: file, to: to.startsWith('.') ? normalize(join(dirname(file), to)) : to, typeOnly: type !== undefined }
  })
}

function pluginOf (file: string): string {
  return /^plugins\/([^/.]+)/.exec(file)?.[1] ?? ''
}

function areaOf (file: string): string {
  if (file.startsWith('core/embedded/')) return 'core/embedded'
  return file.includes('/') ? file.split('/')[0]! : file
}

const all = files.flatMap(importsOf)

test('every file imports only what its folder may', () => {
  const breaches = all.filter(({ from, to, typeOnly }) => {
    const area = areaOf(from)
    if (builtin.test(to)) return area === 'schemas'
    if (/\.(?:ts|json)$/.test(to) && !to.startsWith('@')) return !(own[area]?.(to, pluginOf(from), typeOnly) ?? true)
    return !(packages[area]?.test(to) ?? true)
  })

  expect(files.length).toBeGreaterThan(50)
  expect(breaches.map(({ from, to }) => `${from} imports ${to}`)).toEqual([])
})

test('the embedded Core is imported by nobody of the server, only by what tests it', () => {
  expect(all.filter(({ from, to }) => to.startsWith('core/embedded/') && !from.startsWith('core/embedded/') && from !== 'testing.ts').map(({ from }) => from)).toEqual([])
})

test('no files import each other in a circle', () => {
  const graph = new Map(files.map((file) => [file, all.filter(({ from, to, typeOnly }) => from === file && !typeOnly && to.endsWith('.ts')).map(({ to }) => to)]))
  const done = new Set<string>()
  const visit = (file: string, path: string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return []
    for (const next of graph.get(file) ?? []) {
      const circle = visit(next, [...path, file])
      if (circle.length > 0) return circle
    }
    done.add(file)
    return []
  }

  expect(files.flatMap((file) => visit(file, []))).toEqual([])
})

test('no file hides behind a name that says nothing', () => {
  expect(files.filter((file) => /(?:utils?|helpers?|managers?|services?)\.ts$/.test(file))).toEqual([])
})

test('only config.ts and the command line read the environment', () => {
  const readers = files.filter((file) => /process\.env/.test(readFileSync(file, 'utf8')) && !file.startsWith('cli/'))

  expect(readers).toEqual(['config.ts'])
})

test('every direct dependency is in use, and here is where', () => {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: Record<string, string> }
  const users = Object.fromEntries(Object.keys(dependencies).map((name) => [name, all.find(({ to }) => to === name || to.startsWith(`${name}/`))?.from]))

  expect(Object.entries(users).filter(([, user]) => user === undefined).map(([name]) => name)).toEqual([])
  expect(users).toMatchObject({
    fastify: expect.any(String),
    '@fastify/swagger': 'plugins/openapi/index.ts',
    '@fastify/swagger-ui': 'plugins/openapi/index.ts',
    '@fastify/rate-limit': 'plugins/rate-limit/index.ts',
    '@fastify/redis': 'plugins/cluster/index.ts',
    '@fastify/cors': 'plugins/security.ts',
    'fastify-sse-v2': expect.stringMatching(/^plugins\/sse\//),
    '@modelcontextprotocol/server': expect.stringMatching(/^plugins\/mcp\//),
    undici: expect.stringMatching(/^core\//)
  })
})
