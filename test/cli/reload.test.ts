import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import { as, keys } from '../app.ts'
import { type Run, test } from './run.ts'

// Looks are a second apart, and a change is taken at the second.
vi.setConfig({ testTimeout: 60_000 })

const own = (uri: string) => ({ MUXI_CORE_URI: uri, MUXI_CORE_CLIENT_KEY: keys.user, MUXI_API_PORT: '0' })
const says = async (run: Run, line: Record<string, unknown>) => { await expect.poll(() => run.lines, { timeout: 15_000 }).toContainEqual(expect.objectContaining(line)) }
const limit = async (url: string) => (await fetch(`${url}/api/v1/agents`, { headers: as('admin') })).headers.get('x-ratelimit-limit')

test('SIGHUP reads the settings again; flags and environment stay what they were', async ({ run, core, folder }) => {
  const file = join(folder, 'muxi-api.yaml')
  const secret = join(folder, 'admin-key')
  writeFileSync(secret, `${keys.admin}\n`)
  writeFileSync(file, 'api: { rate_limit: 10, max_body: 2000 }\n')
  const server = run(['start', '--mcp-commands', 'false', '--config', file], { ...own(core.url), MUXI_CORE_ADMIN_KEY_FILE: secret })
  const url = await server.url()
  await expect.poll(async () => await limit(url), { timeout: 10_000 }).toBe('100')
  writeFileSync(file, 'api: { rate_limit: 20, max_body: 3000, mcp_commands: true }\n')
  server.process.kill('SIGHUP')
  await says(server, { level: 'info', message: 'setting changed', setting: 'api.rate_limit', from: '10', to: '20' })

  expect(await limit(url)).toBe('200')
  await says(server, { level: 'warn', message: 'setting needs a restart: the old value stays in force', setting: 'api.max_body', from: '2000', to: '3000' })
  expect(server.stdout).not.toMatch(/mcp_commands|sk_muxi/)
  expect(await server.end('SIGTERM')).toMatchObject({ code: 0 })
})

test('so does a change of the file, of .env and of the file of a secret; what is not valid changes nothing', async ({ run, core, folder }) => {
  const secret = join(folder, 'admin-key')
  const replace = (name: string, text: string) => {
    writeFileSync(join(folder, `${name}~`), text)
    renameSync(join(folder, `${name}~`), join(folder, name))
  }
  writeFileSync(secret, keys.admin)
  const server = run(['start'], { ...own(core.url), MUXI_CORE_ADMIN_KEY_FILE: secret })
  const url = await server.url()
  replace('muxi-api.yaml', 'api: { rate_limit: 20 }\n')
  await says(server, { setting: 'api.rate_limit', from: '600', to: '20' })
  replace('.env', 'MUXI_API_RATE_LIMIT=30\n')
  await says(server, { setting: 'api.rate_limit', from: '20', to: '30' })
  replace('admin-key', 'sk_muxi_admin_other\n')
  await says(server, { setting: 'core.admin_key', from: '********', to: '********' })
  replace('.env', 'MUXI_API_RATE_LIMIT=many\n')
  await says(server, { level: 'error', message: 'the changed settings are not valid: the old ones stay in force', faults: ['api.rate_limit (MUXI_API_RATE_LIMIT) is "many": must be a whole number from 0 to 1000000000'] })
  replace('admin-key', `${keys.admin}\n`)
  replace('.env', 'MUXI_API_RATE_LIMIT=40\n')
  await says(server, { setting: 'api.rate_limit', from: '30', to: '40' })

  await expect.poll(async () => await limit(url), { timeout: 10_000 }).toBe('400')
  expect(server.stdout).not.toContain('sk_muxi')
  expect(await server.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
})
