import { chromium, type Browser, type Page } from 'playwright-core'
import { expect } from 'vitest'
import { keys } from '../oracle/instances.ts'

/** What the page knows of another participant. */
export interface Seen { id: string, state: string, channel: string | undefined, route?: { local: string, remote: string, protocol: string }, steps: string[], isRelayed: boolean, tracks: string[] }

interface Guest { name: string, camera?: boolean, microphone?: boolean, query?: string, width?: number }

/** Slow pictures: many browsers encode them at once here. */
const media = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream=fps=5', '--auto-select-desktop-capture-source=Entire screen']
/** Without UDP, as behind some firewalls; only what can do with TCP gets through. */
export const withoutUdp = '--webrtc-ip-handling-policy=disable_non_proxied_udp'

/** A Chromium with a camera and a microphone. Root has no sandbox there. */
export async function browse (...args: string[]): Promise<Browser & AsyncDisposable> {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', ...media, ...args] })
  return Object.assign(browser, { [Symbol.asyncDispose]: async () => { await browser.close() } })
}

/** The demo in a page of its own, as its user has it. */
export class Demo {
  readonly page: Page
  readonly complaints: string[] = []

  private constructor (page: Page) {
    this.page = page
    page.on('console', (message) => { if (message.type() !== 'log') this.complaints.push(message.text()) })
    page.on('pageerror', (error) => { this.complaints.push(error.message) })
  }

  /** Opens a room, or joins that of a link. */
  static async open (browser: Browser, url: string, { name, camera = true, microphone = true, query = '', width = 1200 }: Guest): Promise<Demo> {
    const context = await browser.newContext({ viewport: { width, height: 900 }, permissions: ['camera', 'microphone', 'clipboard-read', 'clipboard-write'] })
    const demo = new Demo(await context.newPage())
    const address = new URL(url)
    if (!address.pathname.endsWith('/docs/webrtc')) address.pathname = '/docs/webrtc'
    for (const [key, value] of new URLSearchParams(query)) address.searchParams.set(key, value)
    const { page } = demo
    await page.goto(address.href)
    await page.fill('#key', keys.user)
    await page.fill('#user', name)
    await page.setChecked('#with-camera', camera)
    await page.setChecked('#with-microphone', microphone)
    await page.click('#enter button')
    await page.waitForSelector('#room', { state: 'visible' })
    return demo
  }

  /** What others are given. */
  async link (): Promise<string> {
    return (await this.page.locator('#link').textContent())!
  }

  async eval<T> (expression: string): Promise<T> {
    return await this.page.evaluate<T>(expression)
  }

  async peers (): Promise<Seen[]> {
    return await this.eval(`[...room.peers.values()].map((peer) => ({
      id: peer.id, state: peer.state, channel: peer.channel?.readyState, route: peer.route, steps: peer.steps, isRelayed: peer.isRelayed,
      tracks: peer.stream.getTracks().filter((track) => !track.muted).map((track) => track.kind).sort()
    }))`)
  }

  /** Waits until so many others are connected, with an open channel and what they send. */
  async connected (count: number, tracks: string[] = []): Promise<void> {
    await expect.poll(async () => {
      const peers = await this.peers()
      return peers.length === count && peers.every((peer) => peer.state === 'connected' && peer.channel === 'open' && tracks.every((kind) => peer.tracks.includes(kind))) ? 'connected' : JSON.stringify([peers, await this.log()])
    }, { timeout: 45_000 }).toBe('connected')
  }

  async say (text: string): Promise<void> {
    await this.page.fill('#text', text)
    await this.page.click('#chat form button[type=submit]')
  }

  async messages (): Promise<string[]> {
    return await this.page.locator('#messages li').allTextContents()
  }

  async log (): Promise<string[]> {
    return await this.page.locator('#log li').allTextContents()
  }

  /** Reports of WebRTC of one kind, of all connections. */
  async stats (type: string): Promise<Record<string, unknown>[]> {
    return await this.eval(`Promise.all([...room.peers.values()].map(async (peer) => [...(await peer.connection.getStats()).values()])).then((all) => all.flat().filter((one) => one.type === '${type}'))`)
  }
}
