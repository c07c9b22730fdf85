type Node = Record<string, unknown>

/** Values, not schemas. */
const literal = new Set(['example', 'examples', 'default', 'enum', 'const'])

/** Moves every schema that carries a title to `components.schemas` and leaves a reference: contracts compose values, documents want names. */
export function hoist (document: object): Node {
  const schemas: Record<string, string> = {}
  const named: Record<string, Node> = {}

  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit)
    if (typeof value !== 'object' || value === null) return value
    const node = Object.fromEntries(Object.entries(value).map(([key, child]) => [key, literal.has(key) ? child : visit(child)]))
    const { title } = node
    if (typeof title !== 'string' || !('type' in node || 'anyOf' in node)) return node
    // A description beside the reference may say what this one is for; the entity is the rest.
    const { description, ...rest } = node
    const shape = JSON.stringify(rest)
    if (schemas[title] !== undefined && schemas[title] !== shape) throw new Error(`two schemas are titled ${title}`)
    schemas[title] = shape
    named[title] ??= node
    return { $ref: `#/components/schemas/${title}`, ...(description !== named[title].description && { description }) }
  }

  const { openapi, info, servers, tags, paths, components, ...rest } = visit(document) as Node
  const sorted = Object.fromEntries(Object.entries(named).sort(([a], [b]) => a < b ? -1 : 1))
  return { openapi, info, servers, tags, paths, components: { ...components as Node, schemas: sorted }, ...rest }
}
