import { settings, type Setting } from '../schemas/config.ts'

/** The pages that follow from the settings, as they are committed: by path, relative to the project. */
export function settingsDocuments (): Record<string, string> {
  return { 'docs/reference/settings.md': page(), '.env.example': env(), 'config.example.yaml': yaml() }
}

function page (): string {
  const rows = settings.map(({ path, env: name, flag, schema }) =>
    `| \`${path}\` | \`${name}\` | \`--${flag}\` | ${allowed(schema)} | ${schema.default === undefined ? '' : `\`${text(schema.default) || ' '}\``} | ${schema.reload === true ? 'reload' : 'restart'} | ${schema.description} |`)
  return [
    '# Settings',
    '',
    'Every setting, in order of precedence: flag, environment, `.env`, configuration file, default. Made by `npm run settings`; do not edit.',
    '',
    'The file is `muxi-api.yaml`, `.yml` or `.json` in the working folder, or what `--config FILE` or `MUXI_API_CONFIG` names.',
    'A setting that is unknown or not allowed stops the start. `muxi-api config` shows the values in force and where they came from.',
    'A secret may come from a file instead: the same name with `_FILE` (in the configuration file `_file`, as a flag `-file`) names it.',
    'What `changes` by a reload does so while the server runs: [how](../operate/configuration.md#changes-while-it-runs).',
    '',
    '| setting | environment | flag | allowed | default | changes by | meaning |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    ''
  ].join('\n')
}

function env (): string {
  const rows = settings.map(({ env: name, file, schema }) => `# ${schema.description}\n${file === undefined
    ? `#${name}=${text(schema.default ?? schema.examples?.[0] ?? '')}`
    : `#${name}=\n#${file.env}=/run/secrets/${name.toLowerCase()}`}`)
  return `# Copy to .env and remove the # of what you set. Made by \`npm run settings\`.\n\n${rows.join('\n')}\n`
}

function yaml (): string {
  const groups = [...new Set(settings.map(({ group }) => group))]
  const rows = groups.map((group) => [
    `${group}:`,
    ...settings.filter((setting) => setting.group === group).map(({ name, env, file, schema }) => `  # ${schema.description}\n  #${name}: ${value(schema)}${file === undefined ? '' : `\n  #${file.name}: /run/secrets/${env.toLowerCase()}`}`)
  ].join('\n'))
  return `# Copy to muxi-api.yaml and remove the # of what you set. Made by \`npm run settings\`.\n\n${rows.join('\n\n')}\n`
}

function allowed ({ type, minimum, maximum, enum: words, secret }: Setting['schema']): string {
  if (type === 'integer') return `${minimum} to ${maximum}`
  if (type === 'boolean') return 'true, false'
  if (type === 'array') return 'list (text: with commas)'
  if (words !== undefined) return (words as string[]).join(', ')
  return secret === true ? 'secret text' : 'text'
}

function text (item: unknown): string {
  return Array.isArray(item) ? item.join(',') : String(item)
}

function value ({ default: fallback, examples, secret, type }: Setting['schema']): string {
  if (secret === true) return '""'
  const shown: unknown = fallback ?? examples?.[0] ?? ''
  return type === 'integer' || type === 'boolean' ? String(shown) : JSON.stringify(shown)
}
