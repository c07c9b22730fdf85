import type { FastifyInstance } from 'fastify'
import { reasonAgainst } from '../plugins/mcp/tools.ts'
import { statusOf } from '../schemas/errors.ts'
import { gone, oldCodes, oldNames } from './old-api.ts'

/** What a client of an older API must change: every endpoint with its older name, and all that is gone. */
export function migrationPage ({ operations }: FastifyInstance): string {
  const shown = operations.filter(({ hidden }) => !hidden)
  const lost = Object.keys(oldNames).filter((name) => !shown.some(({ id }) => id === name))
  if (lost.length > 0) throw new Error(`scripts/old-api.ts names operations that do not exist: ${lost.join(', ')}`)
  return [
    '# Moving over from the older APIs',
    '',
    'Made from the contracts and `scripts/old-api.ts` by `npm run contract`; do not edit.',
    '',
    'There is one API now, and nothing of the older ones is answered: no path, name or field of theirs is an alias. What a client still',
    'sends in the old way is refused, and the error says what is wrong. One header stays: `X-User-Id`, beside `X-Muxi-User-Id`.',
    '',
    '## In short',
    '',
    '1. Put `/api/v1` before every path and the key into `Authorization: Bearer <key>`: a user key to chat, an admin key to manage.',
    '2. Rename what the tables below name, `message` to `content` above all.',
    '3. Read answers as they come: there is no envelope around them.',
    '4. Tell failures by the status and `error.code`.',
    '',
    '## Every endpoint',
    '',
    'Level: `public` needs no key, `user` a user key or an admin key, `admin` an admin key. A tool has the name of its operation id.',
    'Older paths stand without their prefix. More on each operation: [operations](reference/operations.md).',
    '',
    '| operation id | endpoint | level | MCP tool | older path or name |',
    '| --- | --- | --- | --- | --- |',
    ...shown.map((operation) => {
      const { id, method, url, access } = operation
      return `| \`${id}\` | ${method} \`${url.replaceAll(/:([a-z_]+)/g, '{$1}')}\` | ${access} | ${reasonAgainst(operation) === undefined ? 'yes' : 'no'} | ${oldNames[id]?.join(', ') ?? ''} |`
    }),
    '',
    '## What is gone',
    '',
    'The last column is what the old way is answered with.',
    '',
    '| gone | instead | answer |',
    '| --- | --- | --- |',
    ...gone.map(({ was, now, by = [], shown: cases }) => `| ${was} | ${now}${by.every((name) => shown.some(({ id }) => id === name)) ? '' : ' (not in this release)'} | ${[...new Set(cases.map(({ code }) => answerOf(code)))].join(', ')} |`),
    '',
    '## Answers',
    '',
    'Success is the thing itself. The members of the old envelope, `object`, `timestamp`, `type`, `request`, `success`, `error` and `data`, are gone:',
    'what was in `data` is the whole body, the request id is in the header `X-Request-Id`, and the status tells success.',
    '',
    'A list is under the name of what it lists (`agents`, `users`, `messages`), never `items`; `pagination` or `has_more` and `next_before` say how it goes on.',
    'Times are RFC 3339 in UTC, never numbers.',
    '',
    '## Error codes',
    '',
    'Every failure has one body, `{"error":{"code","message","request_id","details"}}`, on every protocol; `details` only where there are some.',
    '',
    '| older code | code | status |',
    '| --- | --- | --- |',
    ...Object.entries(oldCodes).map(([old, code]) => `| \`${old}\` | \`${code}\` | ${statusOf[code]} |`),
    '| in upper case, such as `AGENT_NOT_FOUND` | by the status; the code of the Core is in `details.core_code` | |',
    '',
    'A wrong key is always 401, a key below the level always 403; the API of the Core mixes the two up, by its version.',
    ''
  ].join('\n')
}

function answerOf (code: typeof gone[number]['shown'][number]['code']): string {
  return typeof code === 'number' ? `JSON-RPC error ${code}` : `${statusOf[code]} \`${code}\``
}
