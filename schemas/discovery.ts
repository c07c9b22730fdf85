import { Type, type Static } from '@sinclair/typebox'
import { type Contract, media } from './contract.ts'

const uri = (description: string, example: string) => Type.String({ description, examples: [example] })

export const ProtectedResource = Type.Object({
  resource: uri('What a token must be for: the address of /mcp', 'https://api.example.com/mcp'),
  authorization_servers: Type.Array(Type.String(), { description: 'Who issues tokens', examples: [['https://id.example.com']] }),
  bearer_methods_supported: Type.Array(Type.Literal('header'), { description: 'Where a token may stand', examples: [['header']] }),
  scopes_supported: Type.Array(Type.String(), { description: 'The scopes that stand for a level here', examples: [['user', 'admin']] }),
  resource_name: Type.String({ examples: ['MUXI API'] }),
  resource_documentation: Type.Optional(uri('A page for people', 'https://api.example.com/docs/mcp'))
}, { title: 'ProtectedResource', description: 'OAuth 2.0 Protected Resource Metadata (RFC 9728)' })
export type ProtectedResource = Static<typeof ProtectedResource>

const about = {
  summary: 'Read how an OAuth client gets a token for /mcp',
  description: 'OAuth 2.0 Protected Resource Metadata (RFC 9728). 404 where no issuer is configured: keys of the MUXI Core are no OAuth tokens, and there is nothing to log in to.',
  tags: ['docs'],
  response: { 200: ProtectedResource },
  failures: ['not_found' as const]
}

export const protectedResourceGet = { operationId: 'protected_resource_get', ...about } satisfies Contract

export const protectedResourceMcpGet = { operationId: 'protected_resource_mcp_get', ...about } satisfies Contract

export const docsMcpGet = {
  operationId: 'docs_mcp_get',
  summary: 'Read how MCP hosts are set up for this server',
  tags: ['docs'],
  response: { 200: media('A page for people', 'text/html') }
} satisfies Contract

export const docsWebrtcGet = {
  operationId: 'docs_webrtc_get',
  summary: 'Try WebRTC rooms in a page',
  tags: ['docs'],
  response: { 200: media('A page for people', 'text/html') }
} satisfies Contract
