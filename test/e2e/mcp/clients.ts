import type { Maker } from './connection.ts'
import { connectInspector, inspectorMissing } from './inspector.ts'
import { connectGo, connectPython, goMissing, pythonMissing } from './programs.ts'
import { connectOne, connectOneBySse, connectTwo } from './sdk.ts'

const legacy = /^2025-/
const latest = /^2026-07-28$/
const missing = () => undefined

/** Clients of the revisions of 2025. */
const legacyClients: Maker[] = [
  { name: '@modelcontextprotocol/sdk 1', revision: legacy, missing, connect: connectOne },
  { name: '@modelcontextprotocol/client 2, legacy', revision: legacy, missing, connect: async (url, key) => await connectTwo(url, key, 'legacy') },
  { name: 'mcp of Python, legacy', revision: legacy, missing: pythonMissing, connect: async (url, key) => await connectPython('client.py', url, key, 'legacy') },
  { name: 'fastmcp of Python, legacy', revision: legacy, missing: pythonMissing, connect: async (url, key) => await connectPython('client-fastmcp.py', url, key, 'legacy') },
  { name: 'the Go SDK, 2025-11-25', revision: legacy, missing: goMissing, connect: async (url, key) => await connectGo(url, key, '2025-11-25') },
  { name: 'the Inspector, legacy', revision: legacy, missing: inspectorMissing, connect: async (url, key) => await connectInspector(url, key, 'legacy'), looksFirst: true }
]

/** Clients of 2026-07-28. */
const latestClients: Maker[] = [
  { name: '@modelcontextprotocol/client 2, auto', revision: latest, missing, connect: async (url, key) => await connectTwo(url, key, 'auto') },
  { name: '@modelcontextprotocol/client 2, 2026-07-28', revision: latest, missing, connect: async (url, key) => await connectTwo(url, key, { pin: '2026-07-28' }) },
  { name: 'mcp of Python, auto', revision: latest, missing: pythonMissing, connect: async (url, key) => await connectPython('client.py', url, key, 'auto') },
  { name: 'fastmcp of Python, auto', revision: latest, missing: pythonMissing, connect: async (url, key) => await connectPython('client-fastmcp.py', url, key, 'auto') },
  { name: 'the Go SDK, auto', revision: latest, missing: goMissing, connect: async (url, key) => await connectGo(url, key, 'auto') },
  { name: 'the Inspector, modern', revision: latest, missing: inspectorMissing, connect: async (url, key) => await connectInspector(url, key, 'modern'), looksFirst: true }
]

/** Clients of the transport of 2024-11-05, HTTP+SSE, whatever revision they speak over it. */
const sseClients: Maker[] = [
  { name: '@modelcontextprotocol/sdk 1, HTTP+SSE', revision: legacy, missing, connect: connectOneBySse },
  { name: 'mcp of Python, HTTP+SSE', revision: legacy, missing: pythonMissing, connect: async (url, key) => await connectPython('client.py', url, key, 'sse'), hidesRefusals: true },
  { name: 'fastmcp of Python, HTTP+SSE', revision: legacy, missing: pythonMissing, connect: async (url, key) => await connectPython('client-fastmcp.py', url, key, 'sse'), hidesRefusals: true },
  { name: 'the Go SDK, HTTP+SSE', revision: legacy, missing: goMissing, connect: async (url, key) => await connectGo(url, key, 'sse') }
]

/** Every client that others wrote, in each of the ways that it can speak. */
export const clients: Maker[] = [...legacyClients, ...latestClients, ...sseClients]
