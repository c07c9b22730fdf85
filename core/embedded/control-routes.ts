import { Type } from '@sinclair/typebox'
import { invalidMember } from './body.ts'
import { effects, type Fault } from './faults.ts'
import { route, type Route } from './router.ts'
import type { State } from './state.ts'

const FaultBody = Type.Object({
  method: Type.Optional(Type.String()),
  path: Type.Optional(Type.String()),
  times: Type.Optional(Type.Integer({ minimum: 1 })),
  delayMs: Type.Optional(Type.Number({ minimum: 0 })),
  drop: Type.Optional(Type.Literal(true)),
  status: Type.Optional(Type.Integer({ minimum: 200, maximum: 599 })),
  body: Type.Optional(Type.String()),
  headers: Type.Optional(Type.Record(Type.String(), Type.String())),
  garbage: Type.Optional(Type.Union(['html', 'half', 'json', 'empty', 'endless', 'wrong-envelope'].map((kind) => Type.Literal(kind)))),
  cutAfter: Type.Optional(Type.Integer({ minimum: 0 })),
  malformed: Type.Optional(Type.Literal(true)),
  silent: Type.Optional(Type.Literal(true))
})

/** The switches of the embedded Core itself, for tests that run it as a process of its own. */
export function controlRoutes ({ calls, faults }: State, downFor: (ms: number) => void): Route[] {
  const shared = { level: 'admin', control: true } as const

  return [
    route({ ...shared, method: 'GET', path: '/__calls', summary: 'Read the requests received', handle: () => ({ bare: { calls, count: calls.length } }) }),
    route({
      ...shared,
      method: 'POST',
      path: '/__faults',
      summary: 'Add a fault',
      body: FaultBody,
      handle: ({ body }) => {
        if (effects.filter((effect) => effect in body).length !== 1) throw invalidMember('body', `exactly one of ${effects.join(', ')} is required`)
        faults.add(body as Fault) // it has one effect, which is what a Fault is
        return { status: 201, bare: { added: true } }
      }
    }),
    route({
      ...shared,
      method: 'DELETE',
      path: '/__faults',
      summary: 'Remove all faults',
      handle: () => {
        faults.heal()
        return { bare: { healed: true } }
      }
    }),
    route({
      ...shared,
      method: 'POST',
      path: '/__down',
      summary: 'Stop listening, cut every connection, and come back',
      body: Type.Object({ ms: Type.Integer({ minimum: 0, maximum: 600_000 }) }),
      handle: ({ body: { ms }, res }) => {
        res.once('finish', () => downFor(ms))
        return { bare: { down_ms: ms } }
      }
    })
  ]
}
