import { describe, expect } from 'vitest'
import { buildApp } from '../../../app.ts'
import type { RtcJoined } from '../../../schemas/rtc.ts'
import { as, configFor, Lines, test as base } from '../../app.ts'
import { skipped, temporary } from '../processes.ts'
import { TurnClient } from './stun.ts'
import { secret, Turn, turnMissing } from './turn.ts'

const test = base.extend<{ turn: Turn, client: TurnClient }>({
  turn: async ({}, use) => {
    await using folder = await temporary()
    const turn = await Turn.startAsShipped(folder.path)
    await use(turn)
    await turn.stop()
  },
  client: async ({ core, turn: { port } }, use) => {
    const app = await buildApp(configFor(core, { MUXI_API_ICE_SERVERS: `turn:127.0.0.1:${port}?transport=udp`, MUXI_API_TURN_SECRET: secret }), new Lines())
    const { ice_servers: [server] } = (await app.inject({ method: 'POST', url: '/api/v1/rtc/sessions', headers: as('user'), payload: {} })).json<RtcJoined>()
    await app.close()
    const client = new TurnClient(port, { username: server!.username!, credential: server!.credential! })
    await use(client)
    client.close()
  }
})

describe.skipIf(skipped(turnMissing()))('coturn with the shipped configuration', () => {
  test('takes the credentials that a participant is given, and none that are made up', async ({ client, turn: { port } }) => {
    const stranger = new TurnClient(port, { username: `${Math.floor(Date.now() / 1_000) + 600}:prt_stranger`, credential: 'bWFkZSB1cA==' })

    expect(await client.allocate()).toBeUndefined()
    expect(await stranger.allocate()).toBe(401)
    stranger.close()
  })

  test('sends to the public, and to nothing that is near it', async ({ client }) => {
    await client.allocate()
    const answers: Record<string, number | undefined> = {}
    const near = [
      '0.0.0.0', '0.255.255.255', '10.0.0.1', '10.255.255.255', '100.64.0.1', '127.0.0.1', '127.255.255.254', '169.254.169.254', '172.16.0.1', '172.31.255.255', '192.0.0.8', '192.0.2.1',
      '192.168.0.1', '192.168.255.255', '198.18.0.1', '198.19.255.255', '198.51.100.1', '203.0.113.1', '224.0.0.251', '239.255.255.250', '240.0.0.1', '255.255.255.255'
    ]
    for (const address of near) answers[address] = await client.permit(address)

    expect(answers).toEqual(Object.fromEntries(near.map((address) => [address, 403])))
    const far = ['1.1.1.1', '9.255.255.255', '11.0.0.0', '172.32.0.1', '192.169.0.1', '223.255.255.255']
    for (const address of far) answers[address] = await client.permit(address)
    expect(answers).toMatchObject(Object.fromEntries(far.map((address) => [address, undefined])))
  })
})
