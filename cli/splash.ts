const letters = [
  '███╗   ███╗ ██╗   ██╗ ██╗  ██╗ ██╗',
  '████╗ ████║ ██║   ██║ ╚██╗██╔╝ ██║',
  '██╔████╔██║ ██║   ██║  ╚███╔╝  ██║',
  '██║╚██╔╝██║ ██║   ██║  ██╔██╗  ██║',
  '██║ ╚═╝ ██║ ╚██████╔╝ ██╔╝ ██╗ ██║',
  '╚═╝     ╚═╝  ╚═════╝  ╚═╝  ╚═╝ ╚═╝'
]
const width = 38
const keyWidth = 70

/** What the splash tells. `keys` only where this process made or was given them for development. */
export interface Facts {
  version: string
  url: string
  core: string
  /** Written behind the Core's address, such as `(embedded)`. */
  coreNote?: string
  keys?: { user: Key, admin: Key }
}
interface Key { value: string, generated: boolean }

/** The splash, in colour or plain. Keys set by hand are named, not shown. */
export function splash ({ version, url, core, coreNote = '', keys }: Facts, colour: boolean): string {
  const paint = (code: string, text: string) => colour ? `\u001b[${code}m${text}\u001b[0m` : text
  const row = (text: string, code = '0') => `│${paint(code, text.padEnd(width))}│`
  const box = [
    `╭${'─'.repeat(width)}╮`,
    ...letters.map((line) => row(`  ${line}`, '36')),
    `│${'─'.repeat(15)}┬${'─'.repeat(22)}│`,
    `│${paint('1', '  * MUXI API   ')}│${`  Version: ${version}`.padEnd(22)}│`,
    `│${'─'.repeat(15)}┴${'─'.repeat(22)}│`,
    row(`  Running on: ${url}`),
    row(`  Core:       ${core}`),
    ...(coreNote === '' ? [] : [row(`  ${coreNote.padStart(width - 4)}`)])
  ]
  if (keys === undefined) return [...box, `╰${'─'.repeat(width)}╯`, ''].join('\n')
  return [...box, ...keyBox(keys, paint), '', ...examples(url, keys), ''].join('\n')
}

function keyBox ({ user, admin }: NonNullable<Facts['keys']>, paint: (code: string, text: string) => string): string[] {
  const row = (text: string) => `│${text.padEnd(keyWidth)}│`
  const shown = ({ value, generated }: Key) => generated ? value : '[user provided]'
  const both = user.generated && admin.generated
  const some = user.generated || admin.generated
  return [
    `├${'─'.repeat(width)}┴${'─'.repeat(keyWidth - width - 1)}╮`,
    row(`  API keys${both ? ' (auto-generated)' : some ? ' (partially auto-generated)' : ''}`),
    row(''),
    row(`  User key:   ${shown(user)}`),
    row(`  Admin key:  ${shown(admin)}`),
    ...(some
      ? [row(''),
        // The sign is two columns wide.
        `│${paint('33', '  ⚡ Generated keys are for development and change at every start.'.padEnd(keyWidth - 1))}│`, row('     Set MUXI_DEV_USER_KEY and MUXI_DEV_ADMIN_KEY to keep your own.')]
      : []),
    `╰${'─'.repeat(keyWidth)}╯`
  ]
}

function examples (url: string, { user, admin }: NonNullable<Facts['keys']>): string[] {
  const key = ({ value, generated }: Key, name: string) => generated ? value : `$${name}`
  return [
    'Talk to an agent:',
    `  curl -s ${url}/api/v1/chat -H 'Content-Type: application/json' -H "Authorization: Bearer ${key(user, 'MUXI_DEV_USER_KEY')}" -d '{"content":"What is 6 times 7?"}'`,
    'List the agents:',
    `  curl -s ${url}/api/v1/agents -H "Authorization: Bearer ${key(admin, 'MUXI_DEV_ADMIN_KEY')}"`,
    `Explore: ${url}/docs     MCP: ${url}/mcp`
  ]
}
