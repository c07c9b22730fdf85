import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import pkg from '../../package.json' with { type: 'json' }
import { settings } from '../../schemas/config.ts'
import { test } from './run.ts'

const stack = /\n\s+at |node:internal|\.js:\d+/

describe('help', () => {
  test('lists the commands', async ({ run }) => {
    const { code, stdout, stderr } = await run(['--help']).end()

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const command of ['start', 'dev', 'config', 'routes', 'doctor', 'trace']) expect(stdout).toMatch(new RegExp(`^  ${command} +\\w`, 'm'))
  })

  test.for(['start', 'dev', 'config', 'routes', 'doctor', 'trace'])('%s --help tells what it does, and does not do it', async (command, { run }) => {
    const { code, stdout, stderr } = await run([command, '--help'], { MUXI_API_PORT: 'nonsense' }).end()

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(new RegExp(`^muxi-api ${command}: `))
    if (command !== 'start') return
    for (const { flag, env } of settings.filter(({ group }) => group !== 'dev')) expect(stdout).toMatch(new RegExp(`--${flag} +${env}`))
  })

  test('--version is that of the package', async ({ run }) => {
    expect(await run(['--version']).end()).toMatchObject({ code: 0, stdout: `${pkg.version}\n` })
  })
})

describe('wrong use', () => {
  test.for([
    [['nonsense'], 'there is no command "nonsense"'], [['constructor'], 'there is no command "constructor"'], [['--nonsense'], 'Unknown option \'--nonsense\''],
    [['config', '--port'], 'Option \'--port <value>\' argument missing'], [['config', 'extra'], 'Unexpected argument \'extra\'']
  ] as const)('%j is exit code 2 with one line and a way out', async ([args, line], { run }) => {
    const { code, stdout, stderr } = await run([...args]).end()

    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toBe(`muxi-api: ${line}\ntry muxi-api --help\n`)
  })
})

describe('config', () => {
  test('shows every setting, its value and its source, and no secret', async ({ run, folder }) => {
    writeFileSync(join(folder, 'muxi-api.yaml'), 'api: { log_level: debug }\n')
    writeFileSync(join(folder, '.env'), 'MUXI_CORE_ADMIN_KEY=sk_muxi_admin_hidden\n')
    const { code, stdout } = await run(['config', '--port', '9'], { MUXI_CORE_URI: 'core:1' }).end()

    expect(code).toBe(0)
    expect(stdout).toMatch(/^api\.log_level +debug +file +MUXI_API_LOG_LEVEL /m)
    expect(stdout).toMatch(/^core\.admin_key +\*{8} +\.env /m)
    expect(stdout).toMatch(/^core\.uri +http:\/\/core:1 +environment /m)
    expect(stdout).toMatch(/^api\.port +9 +flag /m)
    expect(stdout).toMatch(/^core\.client_key +- +default /m)
    expect(stdout).not.toContain('hidden')
    expect(stdout.split('\n').filter((line) => /^(core|api|dev)\./.test(line))).toHaveLength(settings.length)
  })

  test('--json says the same to programs', async ({ run, folder }) => {
    writeFileSync(join(folder, 'muxi-api.json'), '{"dev":{"user_key":"sk_muxi_user_hidden"}}')
    const { stdout } = await run(['config', '--json']).end()
    const { file, settings: rows } = JSON.parse(stdout) as { file: string, settings: Record<string, string>[] }

    expect(file).toMatch(/muxi-api\.json$/)
    expect(rows).toHaveLength(settings.length)
    expect(rows).toContainEqual(expect.objectContaining({ setting: 'dev.user_key', value: '********', source: 'file', environment: 'MUXI_DEV_USER_KEY' }))
    expect(rows).toContainEqual(expect.objectContaining({ setting: 'api.port', value: '8000', source: 'default' }))
  })

  test('--check is silent about values, and says yes or no by its exit code', async ({ run, folder }) => {
    const good = await run(['config', '--check']).end()
    writeFileSync(join(folder, 'muxi-api.yaml'), 'api: { prot: 1, port: x }\ncore: { admin_key: "has blanks" }\n')
    const bad = await run(['config', '--check'], { MUXI_CORE_URI: 'ftp://x', MUXI_API_NONSENSE: '1' }).end()

    expect(good).toMatchObject({ code: 0, stdout: 'the configuration is valid\n', stderr: '' })
    expect(bad).toMatchObject({ code: 1, stdout: '' })
    expect(bad.stderr.trimEnd().split('\n').sort()).toEqual([
      'api.port is "x": must be a whole number from 0 to 65535',
      'api.prot is no setting; `muxi-api config` lists them all',
      'core.admin_key is "********": must look like "printable ASCII without blanks"',
      'core.uri (MUXI_CORE_URI) is "ftp://x": must look like "http://core.internal:7890/api/my-formation"',
      'muxi-api: MUXI_API_NONSENSE is no setting; `muxi-api config` lists them all'
    ])
  })

  test.for(['start', 'dev'])('what is wrong ends %s with 1, a line and no stack', async (command, { run }) => {
    const { code, stdout, stderr } = await run([command], { MUXI_API_PORT: '70000' }).end()

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toBe('muxi-api: api.port (MUXI_API_PORT) is 70000: must be a whole number from 0 to 65535\n')
    expect(stderr).not.toMatch(stack)
  })
})

describe('routes', () => {
  test('lists every operation, for people and for programs', async ({ run }) => {
    const [table, json] = await Promise.all([run(['routes']).end(), run(['routes', '--json']).end()])
    const rows = JSON.parse(json.stdout) as Record<string, string>[]

    expect(table.stdout).toMatch(/^METHOD +PATH +OPERATION +ACCESS +TOOL +CAPABILITY$/m)
    expect(table.stdout).toMatch(/^POST +\/api\/v1\/chat +chat_send +user +yes +chat$/m)
    expect(rows).toContainEqual({ method: 'GET', path: '/api/v1/agents', operation: 'agent_list', access: 'admin', tool: 'yes', capability: 'agents.list' })
    expect(table.stdout.trimEnd().split('\n')).toHaveLength(rows.length + 1)
  })
})
