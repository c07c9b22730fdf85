import { expect, test } from 'vitest'
import { toTimestamp } from '../../schemas/common.ts'

test.for([
  [1_795_346_720.246, '2026-11-22T11:25:20.246Z'], ['2026-11-22T11:25:20Z', '2026-11-22T11:25:20.000Z'], ['2026-11-22T13:25:20+02:00', '2026-11-22T11:25:20.000Z'],
  ['2026-11-22T11:25:20.246500', '2026-11-22T11:25:20.246Z'], ['never', undefined], [undefined, undefined]
] as const)('the Core\'s time %j is %j', ([time, expected]) => {
  expect(toTimestamp(time)).toBe(expected)
})
