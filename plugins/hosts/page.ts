import { createHash } from 'node:crypto'
import { groups, hostsFor, type Facts, type Host } from './snippets.ts'
import { script, style } from './style.ts'

const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** The page runs what it came with, and calls nobody. */
export const policy = `default-src 'none'; script-src ${hashOf(script)}; style-src ${hashOf(style)}; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

/** The page that says how each host is set up for this server. */
export function pageFor (facts: Facts & { base: string, release: string }): string {
  const { base, mcp, release, hasIssuer } = facts
  const hosts = hostsFor(facts)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Connect an MCP host · MUXI API</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<header>
<p class="brand"><b>MUXI</b> API <span>${escaped(release)}</span></p>
<h1>Connect an MCP host</h1>
<p class="lead">Agents and operations of this server as tools of the Model Context Protocol. Pick your host, copy, and put in your key.</p>
<div class="address"><span>Address</span><code id="address">${escaped(mcp)}</code>${copier('address')}</div>
</header>
<div class="columns">
<nav aria-label="Hosts"><p>Before you begin</p><ul><li><a href="#key">The key</a></li></ul>
${groups.map((group) => `<p>${group}</p><ul>${hosts.filter((host) => host.group === group).map(({ id, title }) => `<li><a href="#${id}">${escaped(title)}</a></li>`).join('')}</ul>`).join('')}
<p>More</p><ul><li><a href="#fewer">Fewer tools</a></li></ul>
</nav>
<main>
<section id="key">
<h2>The key</h2>
<p>Every call needs a key of this MUXI, as <code>Authorization: Bearer</code> or, where a host cannot send that, as <code>X-API-Key</code>. What a key may call is what its host sees. ${hasIssuer ? 'Tokens of the issuer that this server trusts are keys, too; hosts find it by themselves.' : 'It is no OAuth token, and there is nothing to log in to.'}
The texts below call it <code>MUXI_API_KEY</code>: where a host reads that from its environment, the key stands in no file.</p>
${codeOf('key-shell', { label: 'Terminal', text: 'export MUXI_API_KEY=…' })}
</section>
${hosts.map(sectionOf).join('\n')}
<section id="fewer">
<h2>Fewer tools</h2>
<p>A long list costs a model its context. Put names or patterns behind the address, or <code>compact</code> for three tools that find, describe and call all others.</p>
${codeOf('fewer-some', { label: 'Some', text: `${mcp}?tools=chat_*,agent_chat_send` })}
${codeOf('fewer-compact', { label: 'Compact', text: `${mcp}?tools=compact` })}
</section>
<footer><a href="${escaped(base)}/docs">All operations</a><a href="${escaped(base)}/openapi.json">OpenAPI document</a><span>Trouble? <code>npx muxi-api doctor --url ${escaped(base)}</code></span></footer>
</main>
</div>
<script>${script}</script>
</body>
</html>
`
}

function sectionOf ({ id, title, place, code = [], link }: Host): string {
  return `<section id="${id}">
<h2>${escaped(title)}</h2>
<p>${place}</p>
${code.map((one, index) => codeOf(`${id}-${index}`, one)).join('\n')}${link === undefined ? '' : `\n<p><a class="button" href="${escaped(link.href)}">${escaped(link.label)}</a></p>`}
</section>`
}

function codeOf (id: string, { label, text }: { label: string, text: string }): string {
  return `<figure><figcaption><span>${escaped(label)}</span>${copier(id)}</figcaption><pre tabindex="0"><code id="${id}">${escaped(text)}</code></pre></figure>`
}

const copier = (id: string): string => `<button type="button" data-copy="${id}" aria-live="polite">Copy</button>`

function escaped (text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
