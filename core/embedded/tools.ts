import { CalculatorError, evaluate } from './calculator.ts'
import { newId } from './envelope.ts'

export interface ToolStart { id: string, name: string, parameters: Record<string, unknown> }
export type ToolEnd = { id: string, output: unknown } | { id: string, error: { code: string, message: string } }

/** The calculator as an LLM is told of it. */
export const calculatorTool = {
  type: 'function',
  function: {
    name: 'calculator',
    description: 'Works out an expression of numbers, + - * / ^ and parentheses',
    parameters: {
      type: 'object',
      properties: { expression: { type: 'string', description: 'such as (6 + 1) * 7' } },
      required: ['expression'],
      additionalProperties: false
    }
  }
}

/** Runs the calculator; a sum that can't be worked out is an answer too. */
export function callCalculator ({ expression, id = newId('call') }: { expression: string, id?: string }): { start: ToolStart, end: ToolEnd, sentence: string } {
  const start = { id, name: 'calculator', parameters: { expression } }
  try {
    const result = evaluate(expression)
    return { start, end: { id, output: { result } }, sentence: `${expression} = ${result}.` }
  } catch (err) {
    if (!(err instanceof CalculatorError)) throw err
    const { code, message } = err
    return { start, end: { id, error: { code, message } }, sentence: `I can't work out ${expression}: ${message}.` }
  }
}
