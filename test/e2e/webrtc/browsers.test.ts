import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test as base } from 'vitest'
import type { ConnectionList } from '../../../schemas/connections.ts'
import { authorization, install, type Installation } from '../oracle/instances.ts'
import { proxyMissing } from '../oracle/proxy.ts'
import { redisMissing } from '../own-redis.ts'
import { installed, root, skipped, temporary } from '../processes.ts'
import { browse, Demo, withoutUdp } from './demo.ts'
import { secret, Turn, turnMissing } from './turn.ts'

const test = base.extend<{ turn: Turn, installation: Installation, browser: Awaited<ReturnType<typeof browse>> }>({
  turn: [async ({}, use) => {
    await using folder = await temporary()
    const turn = await Turn.start(folder.path)
    await use(turn)
    await turn.stop()
  }, { scope: 'file' }],
  installation: [async ({ turn: { port } }, use) => {
    await using installation = await install(2, { MUXI_API_ICE_SERVERS: `turn:127.0.0.1:${port}?transport=udp,turn:127.0.0.1:${port}?transport=tcp`, MUXI_API_TURN_SECRET: secret })
    await use(installation)
  }, { scope: 'file' }],
  browser: async ({}, use) => {
    await using browser = await browse()
    await use(browser)
  }
})
const both = ['audio', 'video']

describe.skipIf(skipped(turnMissing() ?? redisMissing() ?? proxyMissing() ?? (installed('chromium') ? undefined : 'chromium is not installed')))('the demo in Chromium, with two instances behind a proxy', () => {
  test('two pages, each at another instance, hear and see each other, chat, and send files', async ({ browser, installation }) => {
    const { proxy: { url }, folder } = installation
    const ada = await Demo.open(browser, url, { name: 'Ada' })
    const grace = await Demo.open(browser, await ada.link(), { name: 'Grace' })
    await atTwoInstances(installation, grace)
    await Promise.all([ada.connected(1, both), grace.connected(1, both)])
    await ada.say('Hello, Grace')
    await expect.poll(async () => await grace.messages()).toEqual(['AdaHello, Grace'])
    await grace.say('Hello, Ada')
    await writeFile(join(folder, 'notes.bin'), randomBytes(3_000_000))
    await grace.page.setInputFiles('#file', join(folder, 'notes.bin'))
    await expect.poll(async () => await ada.page.locator('#files a').allTextContents()).toEqual(['notes.bin'])
    await pictured(ada, 'docs/images/webrtc.png')

    for (const { stats } of [ada, grace].map((demo) => ({ stats: demo.stats.bind(demo) }))) {
      await expect.poll(async () => (await stats('inbound-rtp')).map(({ kind, packetsReceived, framesDecoded }) => [kind, Number(packetsReceived) > 10, kind === 'audio' || Number(framesDecoded) > 2]).sort()).toEqual([['audio', true, true], ['video', true, true]])
    }
    expect(await ada.page.locator('#files small').textContent()).toMatch(/^ 3000000 bytes from Grace, [0-9a-f]{12}…$/)
    expect(await ada.messages()).toEqual(['YouHello, Grace', 'GraceHello, Ada', 'Gracesent notes.bin'])
    expect([...ada.complaints, ...grace.complaints]).toEqual([])
  })

  test('a camera that is turned off is seen to be off, and a screen takes its place', async ({ browser, installation: { proxy: { url } } }) => {
    const ada = await Demo.open(browser, url, { name: 'Ada' })
    const grace = await Demo.open(browser, await ada.link(), { name: 'Grace', camera: false })
    await grace.connected(1, both)
    // The camera's is 16 to 10, the screen's is not; how large they are is up to how busy the machine is.
    const picture = async () => await grace.eval('(({ hidden, videoWidth, videoHeight }) => hidden ? "none" : Math.abs(videoWidth / videoHeight - 1.6) < 0.03 ? "camera" : "screen")(document.querySelector(".tile:not(.self) video"))')
    await expect.poll(picture).toBe('camera')
    await ada.page.click('#camera')
    await expect.poll(picture).toBe('none')
    await ada.page.click('#screen')
    await expect.poll(picture).toBe('screen')
    await ada.page.click('#camera')

    await expect.poll(picture).toBe('camera')
    expect(await ada.page.locator('#screen').getAttribute('aria-pressed')).toBe('false')
    expect([...ada.complaints, ...grace.complaints]).toEqual([])
  })

  test('forced to relay they reach each other over TURN, with the credentials of the server', async ({ browser, installation: { proxy: { url } } }) => {
    const ada = await Demo.open(browser, url, { name: 'Ada', query: 'relay=1' })
    const grace = await Demo.open(browser, await ada.link(), { name: 'Grace', query: 'relay=1' })
    await Promise.all([ada.connected(1, both), grace.connected(1, both)])
    const candidates = [...await ada.stats('local-candidate'), ...await grace.stats('local-candidate')]

    for (const demo of [ada, grace]) expect((await demo.peers())[0]!.route).toMatchObject({ local: 'relay', remote: 'relay' })
    expect(candidates.every(({ candidateType }) => candidateType === 'relay')).toBe(true)
    expect(await ada.eval('room.iceServers[0].username')).toMatch(/^\d+:prt_/)
  })

  test('a page that listens by SSE and one with a socket connect', async ({ browser, installation: { proxy: { url } } }) => {
    const ada = await Demo.open(browser, url, { name: 'Ada', query: 'signal=sse' })
    const grace = await Demo.open(browser, await ada.link(), { name: 'Grace' })
    await Promise.all([ada.connected(1, both), grace.connected(1, both)])
    await grace.say('by the channel')

    await expect.poll(async () => await ada.messages()).toEqual(['Graceby the channel'])
    expect(await grace.eval('room.participants.map(({ user_id, transport }) => [user_id, transport])')).toEqual([['Ada', 'sse'], ['Grace', 'socket']])
    expect(await ada.page.locator('#signaling').textContent()).toBe('online, by SSE')
  })

  test('a room of six is a full mesh', { timeout: 120_000 }, async ({ browser, installation: { proxy: { url } } }) => {
    const demos = [await Demo.open(browser, url, { name: 'Ada', camera: false })]
    for (const name of ['Grace', 'Edsger', 'Barbara', 'Donald', 'Radia']) demos.push(await Demo.open(browser, await demos[0]!.link(), { name, camera: false }))
    await Promise.all(demos.map(async (demo) => { await demo.connected(5, ['audio']) }))
    await demos[3]!.say('to all')

    for (const demo of demos.filter((_, i) => i !== 3)) await expect.poll(async () => await demo.messages()).toEqual(['Barbarato all'])
  })

  test('who loads the page again goes on as the same participant, and who leaves is gone at once', async ({ browser, installation: { proxy: { url } } }) => {
    const ada = await Demo.open(browser, url, { name: 'Ada' })
    const grace = await Demo.open(browser, await ada.link(), { name: 'Grace' })
    await ada.connected(1, both)
    const ids = [await ada.eval('room.participantId'), await grace.eval('room.participantId')]
    for (const demo of [ada, grace]) {
      await demo.page.reload()
      await demo.page.waitForSelector('#room', { state: 'visible' })
      await Promise.all([ada.connected(1, both), grace.connected(1, both)])
    }
    const after = [await ada.eval('room.participantId'), await grace.eval('room.participantId')]
    await grace.page.click('#leave')

    expect(after).toEqual(ids)
    await expect.poll(async () => await ada.page.locator('#people tr').allTextContents()).toEqual(['Adayou'])
    expect(await grace.page.locator('#problem').textContent()).toBe('You have left.')
  })

  test('a tab that is opened twice goes on in the newer one', async ({ browser, installation: { proxy: { url } } }) => {
    const ada = await Demo.open(browser, url, { name: 'Ada', camera: false })
    const membership = JSON.stringify(await ada.eval('Object.entries(sessionStorage)'))
    const second = await ada.page.context().newPage()
    await second.addInitScript(`for (const [name, value] of ${membership}) sessionStorage.setItem(name, value)`)
    await second.goto(ada.page.url())
    await second.waitForSelector('#room', { state: 'visible' })

    await expect.poll(async () => await ada.page.locator('#problem').textContent()).toMatch('opened in another tab')
    expect(await second.evaluate('room.state')).toBe('open')
  })

  test('an instance that is killed takes no connection along: its page finds the other instance', async ({ browser, installation }) => {
    const { proxy: { url }, instances } = installation
    const ada = await Demo.open(browser, url, { name: 'Ada', camera: false })
    const grace = await Demo.open(browser, await ada.link(), { name: 'Grace', camera: false })
    await Promise.all([ada.connected(1, ['audio']), grace.connected(1, ['audio'])])
    await atTwoInstances(installation, grace)
    await ada.connected(1, ['audio'])
    await ada.eval('globalThis.before = [...room.peers.values()][0].connection')
    await instances[0]!.kill()
    await expect.poll(async () => [await ada.eval('room.state'), await grace.eval('room.state')]).toEqual(['open', 'open'])
    await ada.say('still here')
    await expect.poll(async () => await grace.messages()).toEqual(['Adastill here'])
    await instances[0]!.start()

    await expect.poll(async () => (await ada.eval<{ state: string }[]>('room.participants')).map(({ state }) => state)).toEqual(['joined', 'joined'])
    expect(await ada.eval('[...room.peers.values()][0].connection === before')).toBe(true)
    expect((await ada.log()).join('\n')).toMatch(/resumed|ended: 1006/)
  })

  test('without UDP they reach each other over TURN by TCP; without that, too, what they write goes over the server', { timeout: 120_000 }, async ({ installation: { proxy: { url } }, turn }) => {
    await using browser = await browse(withoutUdp)
    const [ada, grace] = await twoOf(browser, url)
    await Promise.all([ada.connected(1, both), grace.connected(1, both)])
    const overTcp = (await ada.stats('local-candidate')).map(({ candidateType, relayProtocol }) => [candidateType, relayProtocol])
    await turn.stop()
    const [alan, joan] = await twoOf(browser, url)
    for (const demo of [alan, joan]) await expect.poll(async () => (await demo.peers())[0]?.isRelayed, { timeout: 60_000 }).toBe(true)
    await alan.say('over the server')
    await joan.say('and back')

    expect(overTcp).toContainEqual(['relay', 'tcp'])
    await expect.poll(async () => await joan.messages()).toContain('Adaover the serverover the server')
    await expect.poll(async () => await alan.messages()).toContain('Graceand backover the server')
    for (const demo of [alan, joan]) {
      expect(await demo.stats('candidate-pair')).toEqual([])
      expect((await demo.peers())[0]!.steps).toEqual(['ice_restart', 'relay_only', 'sse', 'data_relay'])
    }
  })

  test('the demo fits a phone, and is dark where that is wanted', async ({ browser, installation: { proxy: { url } } }) => {
    const { page } = await Demo.open(browser, url, { name: 'Ada', width: 390 })
    await page.emulateMedia({ colorScheme: 'dark' })

    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(15, 19, 24)')
  })
})

async function twoOf (browser: Awaited<ReturnType<typeof browse>>, url: string): Promise<[Demo, Demo]> {
  const first = await Demo.open(browser, url, { name: 'Ada' })
  return [first, await Demo.open(browser, await first.link(), { name: 'Grace' })]
}

/** Loads a page again until its socket is at another instance than all others are: the proxy takes them in turn. */
async function atTwoInstances ({ proxy: { url } }: Installation, demo: Demo): Promise<void> {
  const instances = async () => {
    const { connections } = await (await fetch(`${url}/api/v1/system/connections?kind=socket`, { headers: authorization })).json() as ConnectionList
    return new Set(connections.map(({ instance }) => instance)).size
  }
  for (let tries = 0; await instances() < 2; tries++) {
    if (tries === 10) throw new Error('the proxy leads all to one instance')
    await demo.page.reload()
    await demo.page.waitForSelector('#room', { state: 'visible' })
    await expect.poll(async () => await demo.eval('room.state')).toBe('open')
  }
}

/** The picture in the documentation is of this test: `DEMO_PICTURE=1` takes it anew. */
async function pictured ({ page }: Demo, path: string): Promise<void> {
  if (process.env.DEMO_PICTURE === undefined) return
  await mkdir(join(root, path, '..'), { recursive: true })
  await page.screenshot({ path: join(root, path), fullPage: true })
}
