import { Type } from '@sinclair/typebox'
import { IfMatch, UserId } from './common.ts'

/** What a request may say in a header beside its key, where the operation minds it. */
export const requestHeaders = {
  'X-Muxi-User-Id': Type.String({ minLength: 1, maxLength: 256, description: 'The end user, where the request itself names none', examples: UserId.examples as string[] }),
  'Idempotency-Key': Type.String({
    minLength: 1,
    maxLength: 257,
    pattern: '^(?!""$)(?:"[\\x21-\\x7e]{1,255}"|[\\x21-\\x7e]{1,255})$',
    description: 'Names this call, bare or in quotes: sent again within a day it has no second effect, and the first answer is given again',
    examples: ['7c9e6679-7425-40de-944b-e07fc1f90ae7']
  }),
  'Last-Event-ID': Type.String({ pattern: '^msg_[\\w-]{1,64}:\\d{1,9}$', description: 'Goes on after this event of a chat that was begun with an `Idempotency-Key`', examples: ['msg_20417:3'] }),
  'If-Match': IfMatch.properties['if-match'],
  'If-None-Match': Type.String({ description: 'The `ETag` of an answer that you have; 304 while it holds', examples: ['"7.3q2-7w"'] }),
  'MCP-Protocol-Version': Type.String({ description: 'The revision that is spoken', examples: ['2026-07-28'] }),
  'Mcp-Method': Type.String({ description: 'The method of the message; required from revision 2026-07-28 on', examples: ['tools/list'] }),
  'Mcp-Name': Type.String({ description: 'The tool of a `tools/call`; required from revision 2026-07-28 on', examples: ['agent_list'] })
}
export type RequestHeader = keyof typeof requestHeaders

const count = (description: string, example: number) => Type.Integer({ minimum: 0, description, examples: [example] })
const text = (description: string, example: string) => Type.String({ description, examples: [example] })

/** What an answer may say in a header. */
export const responseHeaders = {
  'X-Request-Id': text('Name it when you report something; your own where you sent one', 'req_8Zk2mT0qPx4Lw7Ra'),
  'X-Muxi-Instance': text('Which instance answers, as `instance_list` names it: a proxy may send what belongs to a session, a chat or a room there again, none has to', '9f1c2d3e'),
  'X-Trace-Id': text('The W3C trace of the request', '4bf92f3577b34da6a3ce929d0e0e4736'),
  RateLimit: text('What is left of the limit: `r` units for `t` seconds (draft-ietf-httpapi-ratelimit-headers)', '"key";r=598;t=60'),
  'RateLimit-Policy': text('The limit: `q` units in `w` seconds', '"key";q=600;w=60'),
  'X-RateLimit-Limit': count('Units in a minute', 600),
  'X-RateLimit-Remaining': count('Units that are left', 598),
  'X-RateLimit-Reset': count('When the minute ends, in seconds since 1970', 1_795_424_885),
  'X-RateLimit-Warning': text('`true` when a fifth of the limit or less is left', 'true'),
  ETag: text('Names this state of the answer', '"7.3q2-7w"'),
  'Cache-Control': text('Keep it, and ask with `If-None-Match` before you use it again', 'private, no-cache'),
  Link: text('The neighbouring pages (RFC 8288), relative to the URL that was asked for', '<?limit=50&offset=50>; rel="next"'),
  'Idempotent-Replayed': text('`true` when this is the answer of an earlier call with the same `Idempotency-Key`', 'true'),
  'Retry-After': count('Seconds to wait before the next try, where one may help', 1),
  'X-Auth-Stale': text('`1` when the key was let in by an older verdict, since the MUXI Core cannot be asked now', '1'),
  'WWW-Authenticate': text('What is wrong with the key', 'Bearer realm="muxi"'),
  Allow: text('The methods that this path takes', 'POST')
}
export type ResponseHeader = keyof typeof responseHeaders
