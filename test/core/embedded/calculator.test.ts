import { expect, test } from 'vitest'
import { CalculatorError, evaluate, expressionIn } from '../../../core/embedded/calculator.ts'

test.each([
  ['what is 6 times 7?', '6 * 7'],
  ['two plus six', '2 + 6'],
  ['What is 12 divided by 4, please?', '12 / 4'],
  ['twenty-one multiplied by 2', '21 * 2'],
  ['-3 + 2', '-3 + 2'],
  ['(1+2)*3', '(1 + 2) * 3'],
  ['2 to the power of 10', '2 ^ 10'],
  ['7 squared', '7 ^ 2'],
  ['1,234.5 - .5', '1234.5 - 0.5'],
  ['3 x 4', '3 * 4'],
  ['2 * -(3 - 1)', '2 * -(3 - 1)'],
  ['four divided by 0', '4 / 0']
])('the sum in "%s" is %s', (message, expression) => {
  expect(expressionIn(message)).toBe(expression)
})

test.each(['hello', 'I have 3 cats', 'on 2026-03-02', '5 +', '(6', 'plus minus times', 'x', 'a well-known one', '1 2 3', '()', '', '6 */ 7'])('"%s" holds no sum', (message) => {
  expect(expressionIn(message)).toBeUndefined()
})

test.each([
  ['1 + 2 * 3', 7], ['(1 + 2) * 3', 9], ['2 ^ 3 ^ 2', 512], ['-2 ^ 2', -4], ['2 ^ -1', 0.5], ['8 / 4 / 2', 1], ['10 - 3 - 2', 5],
  ['0.1 + 0.2', 0.3], ['--3', 3], ['5', 5]
])('%s is %d', (expression, value) => {
  expect(evaluate(expression)).toBe(value)
})

test.each([
  ['1 / 0', 'division_by_zero'], ['1 / (2 - 2)', 'division_by_zero'], ['9 ^ 999', 'out_of_range'],
  ['process.exit()', 'invalid_expression'], ['1 +', 'invalid_expression'], ['1 2', 'invalid_expression'], ['', 'invalid_expression']
])('%s fails with %s', (expression, code) => {
  const err = catching(() => evaluate(expression))

  expect(err).toBeInstanceOf(CalculatorError)
  expect(err).toMatchObject({ code })
})

test('a long or deep expression is refused quickly', () => {
  const began = performance.now()

  expect(expressionIn('('.repeat(50_000) + '1+1' + ')'.repeat(50_000))).toBeUndefined()
  expect(expressionIn('1+'.repeat(50_000) + '1')).toBeUndefined()
  expect(expressionIn('9'.repeat(50_000))).toBeUndefined()
  expect(catching(() => evaluate('-'.repeat(50_000) + '1'))).toMatchObject({ code: 'invalid_expression' })
  expect(performance.now() - began).toBeLessThan(500)
})

function catching (run: () => unknown): unknown {
  try {
    return run()
  } catch (err) {
    return err
  }
}
