import { isIPv4 } from 'node:net'
import { type Static, Type } from '@sinclair/typebox'
import { invalidMember } from './body.ts'
import { splitCommand } from './command-line.ts'
import { CoreError } from './envelope.ts'

/** An MCP server as an agent knows it. */
export interface McpServer {
  name: string
  type: 'http' | 'command'
  url?: string
  command?: string
  /** accepted, never returned */
  credentials?: Record<string, string>
}

/** Which servers may be connected at all. */
export interface McpPolicy { commands: boolean, hosts: 'loopback' | 'any' }

export const McpServerBody = Type.Object({
  name: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$' }),
  url: Type.Optional(Type.String({ minLength: 1, maxLength: 2048 })),
  command: Type.Optional(Type.String({ minLength: 1, maxLength: 2048 })),
  credentials: Type.Optional(Type.Record(Type.String({ maxLength: 128 }), Type.String({ maxLength: 4096 }), { maxProperties: 32 }))
})

/** The server that a body describes, when it describes one that can exist. */
export function definitionOf ({ name, url, command, credentials = {} }: Static<typeof McpServerBody>): McpServer {
  if ((url === undefined) === (command === undefined)) throw invalidMember('url', 'exactly one of url and command is required')
  const secret = Object.keys(credentials).length > 0 && { credentials }
  if (url === undefined) {
    if (!splitCommand(command ?? '')?.[0] || command?.includes('\0')) throw invalidMember('command', 'the command is empty or leaves a quote open')
    if (Object.keys(credentials).some((key) => !/^[A-Za-z_]\w*$/.test(key))) throw invalidMember('credentials', 'the names are those of environment variables')
    if (Object.values(credentials).some((value) => value.includes('\0'))) throw invalidMember('credentials', 'a value holds a NUL')
    return { name, type: 'command', command, ...secret }
  }
  const { protocol, username, password } = URL.canParse(url) ? new URL(url) : { protocol: '' }
  if (!/^https?:$/.test(protocol)) throw invalidMember('url', 'it must begin with http:// or https://')
  if (username || password) throw invalidMember('url', 'the key belongs in credentials, as token')
  if (credentials.token !== undefined && !/^[\x21-\x7e]+$/.test(credentials.token)) throw invalidMember('credentials', 'the token does not fit into a header')
  return { name, type: 'http', url, ...secret }
}

/** Turns away what the settings of this Core do not allow. */
export function checkAllowed ({ type, url = '' }: McpServer, { commands, hosts }: McpPolicy): void {
  if (type === 'command' && !commands) throw new CoreError(403, 'FORBIDDEN', 'this Core starts no commands')
  if (type === 'http' && hosts === 'loopback' && !isLoopback(new URL(url).hostname)) throw new CoreError(403, 'FORBIDDEN', 'this Core connects to loopback addresses only')
}

function isLoopback (host: string): boolean {
  return host === 'localhost' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'))
}
