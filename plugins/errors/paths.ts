interface Known { methods: string[], path: RegExp, rank: string }

/** What paths there are, and what each takes: a literal part wins over a parameter, whatever the method. */
export class Paths {
  readonly #known: Known[] = []

  add (url: string, methods: string[]): void {
    if (methods.length > 0) this.#known.push({ methods, path: patternOf(url), rank: rankOf(url) })
  }

  /** The methods that a path takes, sorted; none where there is no such path. */
  methods (path: string): string[] {
    return [...new Set(this.#of(path).flatMap(({ methods }) => methods))].sort()
  }

  /**
   * Whether a request came to the route that its path means. Fastify looks by method first: of `PATCH /agents/import` it makes
   * the agent `import`, where only POST knows the word.
   */
  leads ({ url, routeOptions }: { url: string, routeOptions: { url?: string | undefined } }): boolean {
    const [route] = this.#of(url.split('?', 1)[0]!)
    return route === undefined || route.rank === rankOf(routeOptions.url ?? '')
  }

  #of (path: string): Known[] {
    const all = this.#known.filter((route) => route.path.test(path))
    const [first] = all.map(({ rank }) => rank).sort()
    return all.filter(({ rank }) => rank === first)
  }
}

/** Sorts literal parts before parameters, and those before the rest of a path. */
function rankOf (url: string): string {
  return url.replace(/:[^/]+/g, '\ufffe').replaceAll('*', '\uffff')
}

function patternOf (url: string): RegExp {
  const pattern = url.split('/').map((part) => part === '*' ? '.*' : part.startsWith(':') ? '[^/]+' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('/')
  return new RegExp(`^${pattern}$`)
}
