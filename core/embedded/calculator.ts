/** A sum that can't be worked out; the code is what the tool answers. */
export class CalculatorError extends Error {
  readonly code: 'division_by_zero' | 'out_of_range' | 'invalid_expression'

  constructor (code: CalculatorError['code'], message: string) {
    super(message)
    this.code = code
  }
}

type Token = number | string

const most = 200
const units = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve',
  'thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen', 'eighteen', 'nineteen']
const tens = ['twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety']
const words = new Map<string, Token>([
  ...units.map((word, value): [string, Token] => [word, value]),
  ...tens.map((word, at): [string, Token] => [word, 20 + 10 * at]),
  ...Object.entries({ plus: '+', minus: '-', times: '*', x: '*', over: '/', '×': '*', '·': '*', '÷': '/', '−': '-' })
])
const phrases: [RegExp, string][] = [
  [/\b(multiplied|divided)\s+by\b/g, ' $1by '], [/multipliedby/g, '*'], [/dividedby/g, '/'],
  [/\bto the power of\b/g, '^'], [/\*\*/g, '^'], [/\bsquared\b/g, '^2']
]

/** The first sum in a message, written plainly, such as `6 * 7`; undefined when there is none. */
export function expressionIn (message: string): string | undefined {
  const text = phrases.reduce((text, [pattern, by]) => text.replace(pattern, by), message.slice(0, 10_000).toLowerCase())
  for (const run of runsOf(text)) {
    const tokens = trimmed(run)
    const operators = tokens.filter((token, at) => at > 0 && typeof token === 'string' && '+-*/^'.includes(token))
    if (operators.length > 0 && tokens.length <= most && isSum(tokens)) return write(tokens)
  }
}

/** The value of an expression of + - * / ^, parentheses, decimals and unary minus. */
export function evaluate (expression: string): number {
  const [tokens = [], ...others] = runsOf(expression)
  if (others.length > 0 || tokens.length === 0 || tokens.length > most) throw invalid()
  const value = parse(tokens)
  if (!Number.isFinite(value)) throw new CalculatorError('out_of_range', 'the result is too large')
  return Number(value.toPrecision(12))
}

/** Runs of numbers, operators and parentheses; anything else ends a run. */
function runsOf (text: string): Token[][] {
  const runs: Token[][] = [[]]
  const pieces = text.matchAll(/\d{4}-\d\d-\d\d|\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])|\d+(?:\.\d+)?|\.\d+|[a-z]+(?:-[a-z]+)?|[-+*/^()×·÷−]|[^\s]/g)
  for (const [piece] of pieces) {
    const token = tokenOf(piece)
    if (token === undefined) runs.push([])
    else runs.at(-1)?.push(token)
  }
  return runs.filter((run) => run.length > 0)
}

function tokenOf (piece: string): Token | undefined {
  if (/^\d{4}-\d\d-\d\d$/.test(piece)) return undefined // a date is no subtraction
  if (/^[\d.]+[\d,.]*$/.test(piece)) return piece === '.' ? undefined : Number(piece.replaceAll(',', ''))
  if (/^[-+*/^()]$/.test(piece)) return piece
  const [first = '', second] = piece.split('-')
  const ten = words.get(first)
  const unit = second === undefined ? 0 : words.get(second)
  if (second !== undefined) return typeof ten === 'number' && typeof unit === 'number' ? ten + unit : undefined
  return ten
}

function trimmed (run: Token[]): Token[] {
  const from = run.findIndex((token) => typeof token === 'number' || token === '(' || token === '-')
  const to = run.findLastIndex((token) => typeof token === 'number' || token === ')')
  return from < 0 ? [] : run.slice(from, to + 1)
}

function isSum (tokens: Token[]): boolean {
  try {
    parse(tokens)
    return true
  } catch (err) {
    // a division by zero is a sum, and the tool says what is wrong with it
    return err instanceof CalculatorError && err.code !== 'invalid_expression'
  }
}

/** sum = product (± product)*, product = sign (* or / sign)*, sign = -sign or power, power = value (^ sign)? */
function parse (tokens: Token[]): number {
  let at = 0
  const take = (...wanted: string[]) => wanted.includes(String(tokens[at])) && typeof tokens[at] === 'string' ? tokens[at++] : undefined

  function sum (): number {
    let left = product()
    for (let by = take('+', '-'); by; by = take('+', '-')) left = by === '+' ? left + product() : left - product()
    return left
  }
  function product (): number {
    let left = sign()
    for (let by = take('*', '/'); by; by = take('*', '/')) left = by === '*' ? left * sign() : divide(left, sign())
    return left
  }
  function sign (): number {
    return take('-') ? -sign() : power()
  }
  function power (): number {
    const base = value()
    return take('^') ? base ** sign() : base
  }
  function value (): number {
    if (take('(')) {
      const inner = sum()
      if (!take(')')) throw invalid()
      return inner
    }
    const token = tokens[at++]
    if (typeof token !== 'number') throw invalid()
    return token
  }

  const result = sum()
  if (at < tokens.length) throw invalid()
  return result
}

function divide (left: number, right: number): number {
  if (right === 0) throw new CalculatorError('division_by_zero', 'division by zero')
  return left / right
}

function invalid (): CalculatorError {
  return new CalculatorError('invalid_expression', 'this is not an expression of numbers, + - * / ^ and parentheses')
}

function write (tokens: Token[]): string {
  const isUnary = (at: number) => tokens[at] === '-' && (at === 0 || (typeof tokens[at - 1] === 'string' && tokens[at - 1] !== ')'))
  return tokens.map((token, at) => {
    const isTight = at === 0 || token === ')' || tokens[at - 1] === '(' || isUnary(at - 1)
    return (isTight ? '' : ' ') + String(token)
  }).join('')
}
