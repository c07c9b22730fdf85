import { hash } from 'node:crypto'
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ApiError } from '../errors.ts'
import type { ErrorBody } from '../schemas/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** A cheap read: its answer has an `ETag` and may be asked for again with `If-None-Match`. */
    cacheable?: boolean
  }
  interface FastifyReply {
    /** The Core's version of what is answered, where it keeps one; goes into the `ETag`. */
    version: string | number | undefined
  }
  interface FastifyRequest {
    /**
     * Makes a change under the caller's `If-Match`: against the tag that GET of the same URL answers, else 412.
     * Where the Core keeps versions the change gets the one to insist on; where it does not, nobody else changes it here meanwhile.
     */
    ifUnchanged: <T>(change: (version: string | undefined) => Promise<T>) => Promise<T>
  }
}

/** Conditional requests (RFC 9110, section 13): answers that did not change are not sent again, changes to what did are refused. */
export default fp(async (app) => {
  app.decorateReply('version')

  app.addHook('onRoute', (route) => {
    if (route.config?.cacheable !== true) return
    route.onSend = [conditional, ...[route.onSend ?? []].flat()]
    const { response } = route.schema ?? {}
    // `null`: no content. Generated clients would read a body that never comes.
    route.schema = { ...route.schema, response: { ...(response as object), 304: { type: 'null', description: 'Nothing changed since the answer with the tag in `If-None-Match`' } } }
  })

  app.decorateRequest('ifUnchanged', async function (this: FastifyRequest, change) {
    const header = this.headers['if-match']
    if (header === undefined || header.trim() === '*') return await change(undefined)
    const wanted = tagsIn(header).filter((tag) => !tag.startsWith('W/'))
    const versioned = wanted.map(versionOf)

    const version = versionOf(await currentTag(this))
    if (version !== undefined) {
      if (!versioned.includes(version)) throw changed()
      return await change(version)
    }
    return await app.exclusively(`change:${hash('sha256', pathOf(this), 'base64url')}`, async (ensure) => {
      if (!wanted.includes(await currentTag(this))) throw changed()
      await ensure()
      return await change(undefined)
    })
  })
}, { name: 'etag', dependencies: ['exclusive', 'inner'] })

function conditional (request: FastifyRequest, reply: FastifyReply, payload: unknown, done: (error: Error | null, payload?: unknown) => void): void {
  if (reply.statusCode !== 200 || typeof payload !== 'string') {
    done(null, payload)
    return
  }
  const digest = hash('sha256', payload, 'base64url').slice(0, 22)
  // The version alone would hide what changes beside it, such as the counts of an agent.
  const version = String(reply.version ?? '')
  const tag = /^[\w.-]{1,64}$/.test(version) ? `"${version}.${digest}"` : `"${digest}"`
  reply.header('etag', tag).header('cache-control', 'private, no-cache')
  const known = request.headers['if-none-match']
  if (known === undefined || !(known.trim() === '*' || tagsIn(known).some((one) => one.replace(/^W\//, '') === tag))) {
    done(null, payload)
    return
  }
  reply.code(304)
  // HEAD counts the bytes of what it does not send.
  if (request.method === 'HEAD') {
    done(null, payload)
    return
  }
  reply.removeHeader('content-type')
  done(null, null)
}

/** The entity tags of a list, with their quotes. */
function tagsIn (header: string): string[] {
  return header.match(/(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g) ?? []
}

/** The part before the digest; digests have no dot. */
function versionOf (tag: string): string | undefined {
  return /^"(.+)\.[^.]*"$/.exec(tag)?.[1]
}

/** What GET of the same URL would say now. */
async function currentTag (request: FastifyRequest): Promise<string> {
  const { statusCode, headers, body } = await request.call({ method: 'GET', url: pathOf(request) })
  if (statusCode === 200) return String(headers.etag)
  const { error: { code, message, details } } = JSON.parse(body) as ErrorBody
  throw new ApiError(code, message, { details })
}

function pathOf ({ url }: FastifyRequest): string {
  return url.split('?', 1)[0]!
}

function changed (): ApiError {
  return new ApiError('precondition_failed', 'it was changed in the meantime: read it again and use the tag of that answer')
}
