#!/usr/bin/env node
import pkg from '../package.json' with { type: 'json' }
import './signals.ts'
import { UsageError } from './usage.ts'

interface Command { default: (args: string[]) => Promise<void>, help: string }

const commands: Record<string, () => Promise<Command>> = {
  start: async () => await import('./start.ts'),
  dev: async () => await import('./dev.ts'),
  config: async () => await import('./config.ts'),
  routes: async () => await import('./routes.ts'),
  doctor: async () => await import('./doctor.ts'),
  trace: async () => await import('./trace.ts'),
  mcp: async () => await import('./mcp.ts')
}

const usage = `muxi-api ${pkg.version}: the front door of MUXI

Usage: muxi-api [command] [options]

  start     serve in front of a MUXI Core (default)
  dev       serve with a small MUXI Core of our own, for development
  config    show every setting, its value and its source
  routes    list every operation
  doctor    check settings, Core, Redis and the running server, with remedies
  trace     read spans and the log, of a server or of a file, or follow them
  mcp       connect an MCP host that speaks stdio to a server

  muxi-api <command> --help tells more; --version prints the version
`

async function main ([first = 'start', ...rest]: string[]): Promise<void> {
  if (first === '--help' || first === '-h' || first === 'help') {
    process.stdout.write(usage)
    return
  }
  if (first === '--version' || first === '-v') {
    process.stdout.write(`${pkg.version}\n`)
    return
  }
  const [name, args] = first.startsWith('-') ? ['start', [first, ...rest]] : [first, rest]
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (load === undefined) throw new UsageError(`there is no command "${name}"`)
  const command = await load()
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(command.help)
    return
  }
  await command.default(args)
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  const wrongUse = error instanceof UsageError
  process.stderr.write(`muxi-api: ${error instanceof Error ? error.message : String(error)}\n${wrongUse ? 'try muxi-api --help\n' : ''}`)
  process.exit(wrongUse ? 2 : 1)
}
