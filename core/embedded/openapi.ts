import type { Route } from './router.ts'

const keyHeaders = { none: [], admin: ['X-Muxi-Admin-Key'], client: ['X-Muxi-Client-Key'], either: ['X-Muxi-Admin-Key', 'X-Muxi-Client-Key'] }

/** The document of the routes that this Core serves, in the manner of FastAPI. */
export function describe (routes: Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const operations = paths[route.path] ??= {}
    operations[route.method.toLowerCase()] = operationOf(route)
  }
  return { openapi: '3.1.0', info: { title: 'MUXI embedded Core', version }, paths }
}

function operationOf ({ method, path, level, user, summary, body, form, query }: Route): object {
  const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }))
  const asked = Object.entries(query?.properties ?? {}).map(([name, schema]) => ({ name, in: 'query', required: false, schema }))
  const headers = [...keyHeaders[level], ...(user ? ['X-Muxi-User-Id'] : [])]
    .map((name) => ({ name, in: 'header', required: level !== 'either', schema: { type: 'string' } }))
  const content = { [form ? 'application/x-www-form-urlencoded' : 'application/json']: { schema: body } }
  return {
    summary,
    operationId: `${path.replace(/\W+/g, '_').replace(/^_|_$/g, '')}_${method.toLowerCase()}`,
    parameters: [...named, ...asked, ...headers],
    ...(body && { requestBody: { required: true, content } }),
    responses: { 200: { description: 'Successful Response' } }
  }
}
