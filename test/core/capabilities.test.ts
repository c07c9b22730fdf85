import { expect, test } from 'vitest'
import { templateOf } from '../../core/capabilities.ts'

test.for([
  ['/agents', '/agents'],
  ['/chat', '/chat'],
  ['/sessions?limit=5', '/sessions'],
  ['/sessions?of=a/b', '/sessions'],
  ['/agents/ada', '/agents/{}'],
  ['/agents/ada/memories/search?query=a/b', '/agents/{}/memories/search'],
  ['/agents/ada/mcp/servers/files', '/agents/{}/mcp/servers/{}'],
  ['/agents/ada/mcp/servers/files/tools/read%2Fall', '/agents/{}/mcp/servers/{}/tools/{}'],
  ['/users/u%2F42/context?fields=a,b', '/users/{}/context'],
  ['/users/resolve', '/users/resolve'],
  ['/agents/', '/agents/{}']
])('the template of %s is %s', ([path, template]) => {
  expect(templateOf(path!)).toBe(template)
})
