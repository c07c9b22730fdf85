import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import fp from 'fastify-plugin'
import type { FastifyReply } from 'fastify'

declare module 'fastify' {
  interface FastifyReply {
    /** Sends the live demo of WebRTC rooms, as it stands in examples/webrtc/. */
    demo: () => FastifyReply
  }
}

const importLine = /^import \{ MuxiRoom \} from '\.\/muxi-rtc\.js'$/m

/** Shows WebRTC rooms in a page that speaks to this server alone. */
export default fp(async (app) => {
  const { docs, rtc } = app.config.api
  if (!docs || !rtc) return
  const page = readPage()
  const [script, style] = ['script', 'style'].map((tag) => hashOf(new RegExp(`<${tag}[^>]*>([^]*?)</${tag}>`).exec(page)![1]!))

  app.decorateReply('demo', function (this: FastifyReply) {
    // To most browsers sockets of the same host are 'self', too, but not to all.
    const sockets = new URL(this.request.address()).origin.replace(/^http/, 'ws')
    return this
      .header('content-security-policy', `default-src 'none'; script-src ${script}; style-src ${style}; connect-src 'self' ${sockets}; img-src data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`)
      .header('permissions-policy', 'camera=(self), microphone=(self), display-capture=(self)')
      .type('text/html; charset=utf-8')
      .send(page)
  })
}, { name: 'demo', dependencies: ['discovery', 'security'] })

/** The example with its client inside: a page whose only script is known by its hash loads no other. */
function readPage (): string {
  const folder = ['../../examples/webrtc/', '../../../examples/webrtc/'].map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url))
  if (folder === undefined) throw new Error('examples/webrtc/ is missing beside this server: put it back, or set api.docs to false')
  const client = readFileSync(new URL('muxi-rtc.js', folder), 'utf8').replaceAll(/^export /gm, '')
  const page = readFileSync(new URL('index.html', folder), 'utf8')
  if (!importLine.test(page)) throw new Error('examples/webrtc/index.html does not import muxi-rtc.js')
  return page.replace(importLine, () => client)
}

function hashOf (text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
