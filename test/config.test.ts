import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test as base } from 'vitest'
import { ConfigError, loadConfig, normalUri, shown, type Loaded } from '../config.ts'
import { settings } from '../schemas/config.ts'
import { folder } from './fixtures/folder.ts'

/** The text of each place that a setting may come from. */
interface Places { yaml?: string, json?: string, dotEnv?: string, env?: Record<string, string>, flags?: Record<string, string> }
interface Fixtures {
  folder: string
  load: (places?: Places) => Loaded
  /** the lines of the error that these places give */
  faults: (places: Places) => string[]
}

const test = base.extend<Fixtures>({
  folder,
  load: async ({ folder }, use) => {
    await use(({ yaml, json, dotEnv, env = {}, flags = {} } = {}) => {
      if (yaml !== undefined) writeFileSync(join(folder, 'muxi-api.yaml'), yaml)
      if (json !== undefined) writeFileSync(join(folder, 'muxi-api.json'), json)
      if (dotEnv !== undefined) writeFileSync(join(folder, '.env'), dotEnv)
      return loadConfig({ env, flags, cwd: folder })
    })
  },
  faults: async ({ load }, use) => { await use((places) => linesOf(() => load(places))) }
})

describe('the order', () => {
  const levels: { from: string, places: Places, port: number }[] = [
    { from: 'default', places: {}, port: 8000 },
    { from: 'file', places: { yaml: 'api:\n  port: 1001\n' }, port: 1001 },
    { from: '.env', places: { dotEnv: 'MUXI_API_PORT=1002\n' }, port: 1002 },
    { from: 'environment', places: { env: { MUXI_API_PORT: '1003' } }, port: 1003 },
    { from: 'flag', places: { flags: { port: '1004' } }, port: 1004 }
  ]

  test.for(levels.map((level, index) => ({ ...level, below: levels.slice(0, index + 1) })))('$from wins over all before it', ({ from, port, below }, { load }) => {
    const places = below.reduce<Places>((all, level) => ({ ...all, ...level.places }), {})
    const { config, sources } = load(places)

    expect(config.api.port).toBe(port)
    expect(sources['api.port']).toBe(from)
  })

  test('each setting is taken from its own place', ({ load }) => {
    const { config, sources } = load({
      yaml: 'core: { retries: 1 }\napi: { host: 0.0.0.0, cors_origins: ["https://a.example"] }\n',
      dotEnv: 'MUXI_CORE_RETRIES=4\nMUXI_API_LOG_LEVEL=debug\n',
      env: { MUXI_API_MCP: 'false', MUXI_API_TRUST_PROXY: '10.0.0.0/8, ::1' },
      flags: { 'core-pool': '7' }
    })

    expect(config).toMatchObject({
      core: { retries: 4, pool: 7, uri: 'http://localhost:3000' },
      api: { host: '0.0.0.0', cors_origins: ['https://a.example'], log_level: 'debug', mcp: false, trust_proxy: ['10.0.0.0/8', '::1'] }
    })
    expect(sources).toMatchObject({ 'core.retries': '.env', 'core.pool': 'flag', 'api.host': 'file', 'api.mcp': 'environment', 'api.docs': 'default' })
  })

  test('JSON is read like YAML, indented by tabs too', ({ load, folder }) => {
    const { config, file } = load({ json: '{\n\t"api": {\n\t\t"port": 1001,\n\t\t"docs": false\n\t}\n}\n' })

    expect(config.api).toMatchObject({ port: 1001, docs: false })
    expect(file).toBe(join(folder, 'muxi-api.json'))
  })

  test('a file that is named wins over the one that lies there, by flag before environment before .env', ({ load, folder }) => {
    for (const port of [1, 2, 3, 4]) writeFileSync(join(folder, `${port}.yml`), `api: { port: ${port} }`)
    const yaml = 'api: { port: 9 }'
    const dotEnv = 'MUXI_API_CONFIG=1.yml\n'
    const env = { MUXI_API_CONFIG: '2.yml' }
    const ports = [
      load({ yaml }),
      load({ dotEnv }),
      load({ env }),
      load({ env: { MUXI_API_CONFIG: '' } }),
      load({ env, flags: { config: join(folder, '3.yml') } })
    ].map(({ config }) => config.api.port)

    expect(ports).toEqual([9, 1, 2, 1, 3])
  })

  test('an empty text in the environment is no value, an empty flag is one', ({ load }) => {
    const { config, sources } = load({ env: { MUXI_CORE_URI: '', MUXI_API_PORT: '', MUXI_API_CONFIG: '' }, yaml: 'api: { trust_proxy: [10.0.0.1] }', flags: { 'trust-proxy': '' } })

    expect(config).toMatchObject({ core: { uri: 'http://localhost:3000' }, api: { port: 8000, trust_proxy: [] } })
    expect(sources).toMatchObject({ 'core.uri': 'default', 'api.trust_proxy': 'flag' })
  })

  test('the key that the doctor reads from the environment may stand beside the settings', ({ load }) => {
    expect(load({ env: { MUXI_API_DOCTOR_KEY: 'sk_muxi_user_of_the_doctor' } }).config.api.port).toBe(8000)
  })

  test('a file may be empty, and so may a group', ({ load }) => {
    expect(load({ yaml: '# nothing yet\n' }).config.api.port).toBe(8000)
    expect(load({ yaml: 'core:\n  # uri: elsewhere\napi:\n  port: 9\n' }).config).toMatchObject({ core: { retries: 2 }, api: { port: 9 } })
  })

  test('the value is frozen all through', ({ load }) => {
    const { config } = load({ env: { MUXI_API_CORS_ORIGINS: 'https://a.example' } })

    expect([config, config.core, config.api, config.dev, config.api.cors_origins, config.api.trust_proxy].every((value) => Object.isFrozen(value))).toBe(true)
  })
})

describe('what is wrong', () => {
  test('all of it is told at once: key, value, what is allowed', ({ faults }) => {
    const lines = faults({
      yaml: 'api: { prot: 9, log_level: loud, cors_origins: ["*", "https://a.example"] }\nweb: {}\ncore: { retries: many }\n',
      dotEnv: 'MUXI_API_MCP=yes\n',
      env: { MUXI_CORE_URL: 'x', MUXI_API_PORT: '70000', MUXI_CORE_URI: 'ftp://x', MUXI_API_TLS_CERT: '/nowhere.pem' },
      flags: { 'core-timeout-ms': '1.5' }
    })

    expect(lines.sort()).toEqual([
      'MUXI_CORE_URL is no setting; `muxi-api config` lists them all',
      'api.cors_origins is "*": each item must look like "https://app.example.com"',
      'api.log_level is "loud": must be one of fatal, error, warn, info, debug, trace, silent',
      'api.mcp (MUXI_API_MCP) is "yes": must be true or false',
      'api.port (MUXI_API_PORT) is 70000: must be a whole number from 0 to 65535',
      'api.prot is no setting; `muxi-api config` lists them all',
      'api.tls_cert and api.tls_key go together: one of them is unset',
      'api.tls_cert: there is no file /nowhere.pem',
      'core.retries is "many": must be a whole number from 0 to 10',
      'core.timeout_ms (--core-timeout-ms) is "1.5": must be a whole number from 100 to 600000',
      'core.uri (MUXI_CORE_URI) is "ftp://x": must look like "http://core.internal:7890/api/my-formation"',
      'web is no setting; `muxi-api config` lists them all'
    ])
  })

  const bad: { setting: string, value: string, allowed: string }[] = [
    { setting: 'core.max_answer', value: '1', allowed: 'must be a whole number from 65536 to 1073741824' },
    { setting: 'core.required', value: '1', allowed: 'must be true or false' },
    { setting: 'api.log_level', value: 'INFO', allowed: 'must be one of fatal, error, warn, info, debug, trace, silent' },
    { setting: 'api.host', value: 'a b', allowed: 'must look like "127.0.0.1"' },
    { setting: 'api.public_url', value: 'api.example.com', allowed: 'must look like "https://api.example.com"' },
    { setting: 'api.trust_proxy', value: 'proxy.internal', allowed: 'each item must look like "10.0.0.0/8"' },
    { setting: 'api.trust_proxy', value: '300.1.1.1', allowed: 'each item must look like "10.0.0.0/8"' },
    { setting: 'api.trust_proxy', value: '10.0.0.0/33', allowed: 'each item must look like "10.0.0.0/8"' },
    { setting: 'dev.llm_url', value: 'ollama', allowed: 'must look like "http://localhost:11434/v1"' }
  ]

  test.for(bad)('$setting may not be $value, wherever that stands', ({ setting: path, value, allowed }, { faults }) => {
    const { env, flag, group, name, schema } = settings.find((setting) => setting.path === path)!
    const inFile = schema.type === 'array' ? [value] : schema.type === 'integer' ? Number(value) : value
    const shownValue = schema.type === 'integer' ? value : JSON.stringify(value)

    expect(faults({ env: { [env]: value } })).toEqual([`${path} (${env}) is ${shownValue}: ${allowed}`])
    expect(faults({ flags: { [flag]: value } })).toEqual([`${path} (--${flag}) is ${shownValue}: ${allowed}`])
    expect(faults({ json: JSON.stringify({ [group]: { [name]: inFile } }) })).toEqual([`${path} is ${shownValue}: ${allowed}`])
  })

  test('secrets are masked, and so is a password inside an address', ({ faults }) => {
    const lines = faults({
      yaml: 'dev: { user_key: 1234567890123 }\n',
      env: { MUXI_CORE_ADMIN_KEY: 'sk_with blank', MUXI_CORE_CLIENT_KEY: 'short', MUXI_CORE_URI: 'http://user:hidden@core:3000' }
    })

    expect(lines).toHaveLength(4)
    expect(lines.join('\n')).not.toMatch(/1234567890123|blank\b(?!s)|short|hidden/)
    expect(lines).toContain('core.admin_key (MUXI_CORE_ADMIN_KEY) is "********": must look like "printable ASCII without blanks"')
    expect(lines).toContain('core.uri (MUXI_CORE_URI) is "http://********@core:3000": must look like "http://core.internal:7890/api/my-formation"')
  })

  test('a file that cannot be used is one line', ({ faults, folder }) => {
    expect(faults({ yaml: 'api: [' })).toEqual([expect.stringMatching(/muxi-api\.yaml cannot be read: /)])
    expect(faults({ yaml: '- api' })).toEqual([`${join(folder, 'muxi-api.yaml')} must hold the groups core, api, dev`])
    expect(faults({ yaml: 'api: 5', env: { MUXI_API_PORT: '9' } })).toEqual(['api must be object'])
    expect(faults({ flags: { config: 'missing.yaml' } })).toEqual([`there is no configuration file ${join(folder, 'missing.yaml')}`])
    expect(faults({ flags: { config: folder } })).toEqual([expect.stringMatching(/ cannot be read: EISDIR/)])
  })

  test('an issuer of JWTs needs to be known whole', ({ faults, load }) => {
    const [issuer, audience, keys] = [{ MUXI_API_JWT_ISSUER: 'https://id.example.com' }, { MUXI_API_JWT_AUDIENCE: 'muxi-api' }, { MUXI_API_JWT_JWKS_URI: 'https://id.example.com/jwks.json' }]
    const fault = 'api.jwt_issuer needs api.jwt_audience and api.jwt_jwks_uri beside it: whom a token is for and where its keys are'

    expect([faults({ env: issuer }), faults({ env: { ...issuer, ...audience } }), faults({ env: { ...issuer, ...keys } })]).toEqual([[fault], [fault], [fault]])
    expect(load({ env: { ...issuer, ...audience, ...keys } }).config.api.jwt_audience).toBe('muxi-api')
  })

  test('files of certificates must be there, in pairs', ({ faults, load, folder }) => {
    const file = join(folder, 'some.pem')
    writeFileSync(file, '')

    expect(faults({ env: { MUXI_CORE_TLS_CA: '/nowhere.pem' } })).toEqual(['core.tls_ca: there is no file /nowhere.pem'])
    expect(faults({ env: { MUXI_CORE_TLS_CERT: file } })).toEqual(['core.tls_cert and core.tls_key go together: one of them is unset'])
    expect(load({ env: { MUXI_API_TLS_CERT: file, MUXI_API_TLS_KEY: file } }).config.api.tls_cert).toBe(file)
  })
})

describe('a secret from a file', () => {
  test('may be named in every place, and shows where it came from', ({ load, folder }) => {
    writeFileSync(join(folder, 'key'), 'sk_muxi_from_file\n')
    const path = join(folder, 'key')
    const all = [
      load({ env: { MUXI_CORE_ADMIN_KEY_FILE: path } }),
      load({ env: { MUXI_CORE_ADMIN_KEY_FILE: 'key', MUXI_CORE_ADMIN_KEY: '' } }),
      load({ flags: { 'core-admin-key-file': path } }),
      load({ dotEnv: `MUXI_CORE_ADMIN_KEY_FILE=${path}\n` }),
      load({ dotEnv: '', yaml: 'core: { admin_key_file: key }\n' })
    ]

    expect(all.map(({ config }) => config.core.admin_key)).toEqual(Array(5).fill('sk_muxi_from_file'))
    expect(all.map(({ sources }) => sources['core.admin_key'])).toEqual(Array(5).fill(`file ${path}`))
  })

  test('every secret has one, and nothing else has', () => {
    for (const { path, file, schema } of settings) expect(file !== undefined, path).toBe(schema.secret === true)
  })

  test('loses the end of its last line alone', ({ load, folder }) => {
    const keyFrom = (text: string) => {
      writeFileSync(join(folder, 'url'), text)
      return load({ env: { MUXI_API_REDIS_URL_FILE: 'url' } }).config.api.redis_url
    }

    expect(['redis://a', 'redis://a\n', 'redis://a\r\n'].map(keyFrom)).toEqual(Array(3).fill('redis://a'))
    expect(() => keyFrom('redis://a\n\n')).toThrow('must look like')
  })

  test('the later place wins, whichever of the two it names', ({ load, folder }) => {
    writeFileSync(join(folder, 'key'), 'sk_muxi_from_file')
    const byValue = load({ yaml: 'core: { admin_key_file: missing }\n', env: { MUXI_CORE_ADMIN_KEY: 'sk_muxi_value' } })
    const byFile = load({ yaml: 'core: { admin_key: sk_muxi_value }\n', env: { MUXI_CORE_ADMIN_KEY_FILE: 'key' } })

    expect([byValue, byFile].map(({ config }) => config.core.admin_key)).toEqual(['sk_muxi_value', 'sk_muxi_from_file'])
  })

  test('both in one place, a file that is not there and one that cannot be read are faults', ({ faults, folder }) => {
    const lines = faults({
      yaml: 'dev: { llm_key_file: 5 }\n',
      env: { MUXI_CORE_ADMIN_KEY: 'sk_muxi_hidden', MUXI_CORE_ADMIN_KEY_FILE: 'key', MUXI_CORE_CLIENT_KEY_FILE: '/nowhere/key', MUXI_API_SECRET_FILE: folder, MUXI_API_PORT_FILE: 'x' }
    })

    expect(lines.sort()).toEqual([
      'MUXI_API_PORT_FILE is no setting; `muxi-api config` lists them all',
      `api.secret_file (MUXI_API_SECRET_FILE): ${folder} cannot be read (EISDIR)`,
      'core.admin_key (MUXI_CORE_ADMIN_KEY) and core.admin_key_file (MUXI_CORE_ADMIN_KEY_FILE) are both set: leave one of them out',
      `core.admin_key_file (MUXI_CORE_ADMIN_KEY_FILE): there is no file ${join(folder, 'key')}`,
      'core.client_key_file (MUXI_CORE_CLIENT_KEY_FILE): there is no file /nowhere/key',
      'dev.llm_key_file must be the path of a file'
    ])
  })

  test('what stands in it is checked like any value, and not shown', ({ faults, folder }) => {
    writeFileSync(join(folder, 'key'), 'has blanks')

    expect(faults({ env: { MUXI_CORE_ADMIN_KEY_FILE: 'key' } })).toEqual([`core.admin_key (file ${join(folder, 'key')}) is "********": must look like "printable ASCII without blanks"`])
  })
})

test('every file that was looked at is told, there or not', ({ folder }) => {
  writeFileSync(join(folder, 'key'), 'sk_muxi_key')
  const seen: string[] = []
  loadConfig({ cwd: folder, env: { MUXI_CORE_ADMIN_KEY_FILE: 'key' }, onFile: (path) => { seen.push(path) } })

  expect(seen).toEqual(['.env', 'muxi-api.yaml', 'muxi-api.yml', 'muxi-api.json', 'key'].map((name) => join(folder, name)))
})

test('a version of TLS may stand in YAML without quotes', ({ load, faults }) => {
  expect(load({ yaml: 'api: { tls_min_version: 1.2 }\n' }).config.api.tls_min_version).toBe('1.2')
  expect(faults({ yaml: 'api: { tls_min_version: 1.1 }\n' })).toEqual(['api.tls_min_version is "1.1": must be one of 1.2, 1.3'])
})

describe('the variables of Kubernetes', () => {
  // What a Service called muxi-core, one called muxi-api and one called muxi-api-metrics put into every container.
  const links = Object.fromEntries(['MUXI_CORE', 'MUXI_API', 'MUXI_API_METRICS'].flatMap((name) => [
    [`${name}_SERVICE_HOST`, '10.96.0.7'], [`${name}_SERVICE_PORT`, '3000'], [`${name}_SERVICE_PORT_HTTP`, '3000'], [`${name}_PORT`, 'tcp://10.96.0.7:3000'],
    [`${name}_PORT_3000_TCP`, 'tcp://10.96.0.7:3000'], [`${name}_PORT_3000_TCP_PROTO`, 'tcp'], [`${name}_PORT_3000_TCP_PORT`, '3000'], [`${name}_PORT_3000_TCP_ADDR`, '10.96.0.7']
  ]))

  test('are no settings', ({ load }) => {
    const { config, sources } = load({ env: links, yaml: 'api: { port: 9 }' })

    expect(config.api.port).toBe(9)
    expect(sources['api.port']).toBe('file')
  })

  test('do not hide what was meant to be a setting', ({ faults }) => {
    expect(faults({ env: { MUXI_CORE_PORT: '3000' } })).toEqual(['MUXI_CORE_PORT is no setting; `muxi-api config` lists them all'])
    expect(faults({ flags: { port: 'tcp://10.96.0.7:3000' } })).toHaveLength(1)
  })
})

describe('core.uri', () => {
  const good: [given: string, uri: string][] = [
    ['localhost:3000', 'http://localhost:3000'],
    ['core', 'http://core'],
    ['http://core.internal:7890/api/my-formation', 'http://core.internal:7890/api/my-formation'],
    ['core.internal:7890/api/my-formation/', 'http://core.internal:7890/api/my-formation'],
    ['[::1]:3000', 'http://[::1]:3000'],
    ['http://[::1]:3000/', 'http://[::1]:3000'],
    ['https://core.example.com', 'https://core.example.com'],
    ['127.0.0.1:80', 'http://127.0.0.1']
  ]
  const malformed = ['http://', 'ftp://x', ':::', 'host:99999', 'host:0', 'http://user:pw@host', 'host?x=1', 'http://host/#a', 'a b', '[::1', '1.2.3.4.5', 'host:', '//host', 'host:3000:4000', 'http:/host']
  const ways: Record<string, (uri: string) => Places> = {
    flag: (uri) => ({ flags: { 'core-uri': uri } }),
    environment: (uri) => ({ env: { MUXI_CORE_URI: uri } }),
    '.env': (uri) => ({ dotEnv: `MUXI_CORE_URI='${uri}'\n` }),
    YAML: (uri) => ({ yaml: `core:\n  uri: '${uri}'\n` }),
    JSON: (uri) => ({ json: JSON.stringify({ core: { uri } }) })
  }

  test('unset is a Core on this machine', ({ load }) => {
    expect(load().config.core.uri).toBe('http://localhost:3000')
  })

  test.for(Object.keys(ways).flatMap((way) => good.map(([given, uri]) => ({ way, given, uri }))))('$given by $way is $uri', ({ way, given, uri }, { load }) => {
    expect(load(ways[way]!(given)).config.core.uri).toBe(uri)
  })

  test.for(Object.keys(ways).flatMap((way) => malformed.map((given) => ({ way, given }))))('$given by $way is refused', ({ way, given }, { faults }) => {
    expect(faults(ways[way]!(given))).toEqual([expect.stringMatching(/^core\.uri.* is ".*": must look like "http:\/\/core\.internal:7890\/api\/my-formation"$/)])
  })

  test('is the same when it is read again', () => {
    for (const [given, uri] of good) expect(normalUri(normalUri(given))).toBe(uri)
  })
})

test('what is named like a secret is one, and is never shown', () => {
  // The settings of TLS name files.
  for (const { path, schema } of settings.filter(({ path }) => /(?<!tls)_(?:key|secret|token|password)$/.test(path))) {
    expect(shown({ schema }, 'sk_muxi_value'), path).toBe('********')
    expect(shown({ schema }, undefined)).toBe('')
  }
  expect(shown(settings.find(({ path }) => path === 'api.trust_proxy')!, ['10.0.0.1', '::1'])).toBe('10.0.0.1,::1')
})

test('every setting has a name of its own in each place', () => {
  for (const name of ['path', 'env', 'flag'] as const) expect(new Set(settings.map((setting) => setting[name])).size).toBe(settings.length)
})

function linesOf (load: () => unknown): string[] {
  try {
    load()
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as ConfigError).message.split('\n')
  }
  return []
}
