import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Garbage } from './faults.ts'

const fixed: Record<Exclude<Garbage, 'endless'>, { type: string, body: string }> = {
  html: { type: 'text/html; charset=utf-8', body: '<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>' },
  half: { type: 'application/json', body: '{"object":"agent","timestamp":1795346720246,"type":"agent.retr' },
  json: { type: 'application/json', body: '{"hello":["world",1,null]}' },
  empty: { type: 'application/json', body: '' },
  'wrong-envelope': { type: 'application/json', body: '{"object":7,"timestamp":"yesterday","type":null,"success":"maybe","error":[],"data":"text"}' }
}

/** Answers 200 with something that is not what the path promises. */
export async function writeGarbage (res: ServerResponse, kind: Garbage, gone: AbortSignal): Promise<void> {
  if (kind === 'endless') return await writeEndlessly(res, gone)
  const { type, body } = fixed[kind]
  res.writeHead(200, { 'content-type': type }).end(body)
}

async function writeEndlessly (res: ServerResponse, gone: AbortSignal): Promise<void> {
  const chunk = Buffer.alloc(64 * 1024, ' ')
  res.writeHead(200, { 'content-type': 'application/json' }).write('{"object":"list","data":"')
  while (!gone.aborted) {
    if (res.write(chunk)) await new Promise(setImmediate)
    else await once(res, 'drain', { signal: gone }).catch(() => {})
  }
}
