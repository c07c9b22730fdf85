import { programsFor } from './programs.ts'

/** How one host is set up: where the text goes, and the text. `place` may hold HTML of ours. */
export interface Host { id: string, title: string, group: Group, place: string, code?: Code[], link?: { label: string, href: string } }
interface Code { label: string, text: string }
type Group = 'Assistants' | 'Editors' | 'Programs' | 'By hand'

/** What the page tells of: the address of /mcp, and whether people can log in by OAuth. */
export interface Facts { mcp: string, hasIssuer: boolean }

export const groups: Group[] = ['Assistants', 'Editors', 'Programs', 'By hand']

/** Lists of words stand on one line. */
const json = (value: unknown): string => JSON.stringify(value, undefined, 2).replaceAll(/\[\s+("[^[\]{}]*")\s+\]/g, (_, words: string) => `[${words.replaceAll(/,\s+/g, ', ')}]`)
const bearer = (key: string) => ({ Authorization: `Bearer ${key}` })
/** A variable the way hosts write one. */
const variable = (name: string) => `\${${name}}`

/** The hosts in the order of the page. No text holds a key: each names it the way its host does. */
export function hostsFor ({ mcp, hasIssuer }: Facts): Host[] {
  const cursor = { url: mcp, headers: bearer(variable('env:MUXI_API_KEY')) }
  return [
    {
      id: 'claude-code',
      title: 'Claude Code',
      group: 'Assistants',
      place: 'On the command line. Your shell fills the key in; it is kept in the settings of Claude Code.',
      code: [
        { label: 'Terminal', text: `claude mcp add --transport http muxi ${mcp} \\\n  --header "Authorization: Bearer $MUXI_API_KEY"` },
        { label: '.mcp.json, for a whole project: the key stays in the environment of each person', text: json({ mcpServers: { muxi: { type: 'http', url: mcp, headers: bearer(variable('MUXI_API_KEY')) } } }) }
      ]
    },
    {
      id: 'claude-desktop',
      title: 'Claude Desktop',
      group: 'Assistants',
      place: 'Settings, Developer, Edit Config. Claude Desktop starts a command, which passes everything on to this server and needs Node.js 20.19 or later.',
      code: [{ label: 'claude_desktop_config.json', text: json({ mcpServers: { muxi: { command: 'npx', args: ['-y', 'muxi-api', 'mcp', '--url', mcp], env: { MUXI_API_KEY: 'your key' } } } }) }]
    },
    {
      id: 'connectors',
      title: 'Claude.ai and ChatGPT connectors',
      group: 'Assistants',
      place: 'In Claude.ai: Settings, Connectors, Add custom connector. In ChatGPT: Settings, Connectors, with developer mode on. Both call from the internet, so the address must be public and https. ' +
        (hasIssuer
          ? 'They send people to the issuer that this server trusts, to log in there.'
          : 'They let people log in by OAuth and have no place for a plain key: this server has no issuer configured (<code>MUXI_API_JWT_ISSUER</code>), so use one of the other ways until it has.'),
      code: [{ label: 'Address of the server', text: mcp }]
    },
    {
      id: 'cursor',
      title: 'Cursor',
      group: 'Editors',
      place: 'Set <code>MUXI_API_KEY</code> before Cursor starts; Cursor fills it in.',
      code: [{ label: '~/.cursor/mcp.json, or .cursor/mcp.json in a project', text: json({ mcpServers: { muxi: cursor } }) }],
      link: { label: 'Add to Cursor', href: `cursor://anysphere.cursor-deeplink/mcp/install?name=muxi&config=${encodeURIComponent(Buffer.from(JSON.stringify(cursor)).toString('base64'))}` }
    },
    {
      id: 'vscode',
      title: 'VS Code',
      group: 'Editors',
      place: 'VS Code asks for the key once and keeps it in its secret storage.',
      code: [{
        label: '.vscode/mcp.json',
        text: json({
          inputs: [{ type: 'promptString', id: 'muxi-key', description: 'MUXI API key', password: true }],
          servers: { muxi: { type: 'http', url: mcp, headers: bearer(variable('input:muxi-key')) } }
        })
      }]
    },
    {
      id: 'stdio',
      title: 'Any host that starts commands',
      group: 'Editors',
      place: 'Give it this command, and the key as the variable <code>MUXI_API_KEY</code> of its environment. It connects again by itself after a break.',
      code: [{ label: 'Command', text: `npx -y muxi-api mcp --url ${mcp}` }]
    },
    ...programsFor(mcp),
    {
      id: 'inspector',
      title: 'MCP Inspector',
      group: 'By hand',
      place: 'Looks at everything that a server offers. Without <code>--cli</code> and what follows it opens a page.',
      code: [{ label: 'Terminal', text: `npx @modelcontextprotocol/inspector --cli ${mcp} --transport http \\\n  --header "Authorization: Bearer $MUXI_API_KEY" --method tools/list` }]
    },
    {
      id: 'curl',
      title: 'curl',
      group: 'By hand',
      place: 'One request of revision 2026-07-28: the tools that your key may call.',
      code: [{
        label: 'Terminal',
        text: [
          `curl -s ${mcp}`,
          '-H "Authorization: Bearer $MUXI_API_KEY"',
          '-H "Content-Type: application/json" -H "Accept: application/json, text/event-stream"',
          '-H "MCP-Protocol-Version: 2026-07-28" -H "Mcp-Method: tools/list"',
          `-d '${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} } } })}'`
        ].join(' \\\n  ')
      }]
    }
  ]
}
