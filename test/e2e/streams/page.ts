import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { chromium } from 'playwright-core'
import type { LogEvent } from '../../../schemas/logs.ts'
import type { Follower, Site } from './followers.ts'

interface Shown { id: string, data: string, at: number }

/** Follows the log in a page of another origin, in a browser of its own. */
export async function followInPage ({ url, key, query, after }: Site): Promise<Follower> {
  const server = createServer((_, res) => { createReadStream(new URL('page.html', import.meta.url)).pipe(res.setHeader('content-type', 'text/html')) })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  // Root has no sandbox in Chromium.
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  const follower: Follower = {
    firstByteMs: 0,
    protocol: '',
    events: [],
    reads: [],
    complaints: [],
    stop: async () => {
      await browser.close()
      server.closeAllConnections()
      await new Promise((resolve) => { server.close(resolve) })
    }
  }
  try {
    const page = await browser.newPage({ ignoreHTTPSErrors: true })
    page.on('pageerror', (error) => { follower.complaints.push(error.message) })
    page.setDefaultTimeout(20_000)
    let last = -Infinity
    await page.exposeFunction('shown', ({ id, data, at }: Shown) => {
      // What comes in one read is shown in one go.
      if (at - last < 5) follower.reads[follower.reads.length - 1]!++
      else follower.reads.push(1)
      last = at
      follower.events.push({ id, data: JSON.parse(data) as LogEvent })
    })
    await page.exposeFunction('complained', (text: string) => { follower.complaints.push(text) })
    await page.exposeFunction('opened', (ms: number) => { follower.firstByteMs ||= ms })
    // Pages are not told what others speak.
    const devtools = await page.context().newCDPSession(page)
    devtools.on('Network.responseReceived', ({ response: { mimeType, protocol } }) => { if (mimeType === 'text/event-stream') follower.protocol = protocol! })
    await devtools.send('Network.enable')
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    // A page has globals of its own, which TypeScript does not know here.
    await page.evaluate(`follow(...${JSON.stringify([url, key, query, ...(after === undefined ? [] : [after])])})`)
    await page.waitForFunction('document.getElementById("state").textContent === "connected"')
  } catch (cause) {
    await follower.stop()
    throw new Error(`the page is not connected: ${follower.complaints.join(', ')}`, { cause })
  }
  return follower
}
