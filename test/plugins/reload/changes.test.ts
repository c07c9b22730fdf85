import { expect, test } from 'vitest'
import { loadConfig } from '../../../config.ts'
import { changesOf, liveSettings } from '../../../plugins/reload/changes.ts'

const of = (env: Record<string, string> = {}) => loadConfig({ env, cwd: '/nonexistent' }).config

test('what may change is taken, the rest keeps its value and is named', () => {
  const old = of({ MUXI_API_PORT: '1', MUXI_API_CORS_ORIGINS: 'https://a.example' })
  const { next, applied, restart } = changesOf(old, of({ MUXI_API_PORT: '2', MUXI_API_CORS_ORIGINS: 'https://b.example', MUXI_API_RATE_LIMIT: '7' }))

  expect(next.api).toEqual({ ...old.api, cors_origins: ['https://b.example'], rate_limit: 7 })
  expect(applied).toEqual([{ setting: 'api.cors_origins', from: 'https://a.example', to: 'https://b.example' }, { setting: 'api.rate_limit', from: '600', to: '7' }])
  expect(restart).toEqual([{ setting: 'api.port', from: '1', to: '2' }])
})

test('secrets are masked, and show whether they came or went', () => {
  const { next, applied, restart } = changesOf(of({ MUXI_CORE_ADMIN_KEY: 'sk_muxi_old' }), of({ MUXI_CORE_CLIENT_KEY: 'sk_muxi_new', MUXI_API_REDIS_URL: 'redis://u:hidden@h' }))

  expect(applied).toEqual([{ setting: 'core.admin_key', from: '********', to: '' }, { setting: 'core.client_key', from: '', to: '********' }])
  expect(restart).toEqual([{ setting: 'api.redis_url', from: '', to: '********' }])
  expect(next.core).not.toHaveProperty('admin_key')
})

test('a password inside an address is masked, too', () => {
  expect(changesOf(of(), of({ MUXI_DEV_LLM_URL: 'https://u:hidden@llm.example/v1' })).restart).toEqual([{ setting: 'dev.llm_url', from: '', to: 'https://********@llm.example/v1' }])
})

test('nothing else is the same object as before', () => {
  const old = of({ MUXI_API_CORS_ORIGINS: 'https://a.example' })
  const same = changesOf(old, of({ MUXI_API_CORS_ORIGINS: 'https://a.example' })).next
  const other = changesOf(old, of({ MUXI_API_CORS_ORIGINS: 'https://a.example', MUXI_API_LOG_LEVEL: 'warn' })).next

  expect(same).toBe(old)
  expect(other.api.cors_origins).toBe(old.api.cors_origins)
  expect(other.core).toBe(old.core)
  expect([other, other.api].every((value) => Object.isFrozen(value))).toBe(true)
})

test('live settings are those of the moment, also where there was none', () => {
  let current = of()
  const live = liveSettings(() => current)
  const before = [live.api.rate_limit, live.core.admin_key]
  current = of({ MUXI_API_RATE_LIMIT: '9', MUXI_CORE_ADMIN_KEY: 'sk_muxi_new' })

  expect(before).toEqual([600, undefined])
  expect([live.api.rate_limit, live.core.admin_key]).toEqual([9, 'sk_muxi_new'])
})
