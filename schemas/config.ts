import { Type, type SchemaOptions, type Static, type TSchema } from '@sinclair/typebox'

/** What a setting may say of itself besides its type. */
interface About extends SchemaOptions {
  description: string
  /** Masked wherever settings are shown; may come from a file that is named instead. */
  secret?: true
  /** A reload changes it; all others keep their value until the next start. */
  reload?: true
}

const text = (value: string | undefined, about: About) => optional(Type.String({ ...about }), value)
const number = (value: number, minimum: number, maximum: number, description: string, more: Omit<About, 'description'> = {}) => Type.Integer({ default: value, minimum, maximum, description, ...more })
const flag = (value: boolean, description: string, more: Omit<About, 'description'> = {}) => Type.Boolean({ default: value, description, ...more })
const list = (pattern: string, about: About) => Type.Array(Type.String({ pattern }), { default: [], ...about })
const words = (value: string[], description: string) => Type.Array(Type.String({ pattern: '^[\\x21-\\x7e]{1,128}$' }), { default: value, description })

function optional<T extends TSchema> (schema: T, value: Static<T> | undefined) {
  return value === undefined ? Type.Optional(schema) : Type.Optional({ ...schema, default: value })
}

const live = { reload: true } as const
const key = { minLength: 8, maxLength: 512, pattern: '^[\\x21-\\x7e]+$', secret: true } as const
const uri = '^(?:https?://)?(?:\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?$'
const address = '^[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?$'
const origin = '^https?://(?:\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9.-]+)(?::(?:[0-9]{1,5}|\\*))?$'

/**
 * Every setting, once: type, default, bounds, meaning. The path gives the names:
 * `core.uri` is `MUXI_CORE_URI` in the environment and `--core-uri` on the command line (`api.port` is plain `--port`).
 */
export const Config = Type.Object({
  core: Type.Object({
    uri: Type.String({ default: 'localhost:3000', pattern: uri, description: 'Where the MUXI Core answers; without a scheme http; a path prefix is kept', examples: ['http://core.internal:7890/api/my-formation'] }),
    fallback_uris: list(uri, { description: 'Where other Cores answer, used in this order while the first does not; each takes the same keys', examples: [['http://core-b.internal:7890']] }),
    admin_key: text(undefined, { ...key, ...live, description: 'The server\'s own admin key at the Core: for key introspection and where a user\'s call needs an admin read' }),
    client_key: text(undefined, { ...key, ...live, description: 'The server\'s own client key at the Core: for callers whose own key the Core does not take on that route' }),
    required: flag(false, 'Exit with 1 when the Core does not pass the check at start; else listen, say why not ready, and keep trying'),
    timeout_ms: number(30_000, 100, 600_000, 'How long the Core may take for a whole answer, repeats included (streams: until the headers)', live),
    key_timeout_ms: number(2_000, 50, 60_000, 'How long the Core may take for its verdict on a key, repeats included', live),
    connect_timeout_ms: number(2_000, 50, 60_000, 'How long a connection to the Core may take to open'),
    events_file: text(undefined, { description: 'File to which the Core writes its events (`logging.conversation.streams`, transport `file`), followed across rotation into both streams', examples: ['/var/log/muxi/events.jsonl'] }),
    idle_timeout_ms: number(30_000, 1_000, 600_000, 'How long a stream of the Core may stay silent', live),
    retries: number(2, 0, 10, 'How often a call that is safe to repeat is repeated', live),
    retry_budget: number(20, 0, 100, 'Repeats at most, in percent of the calls of the last 5 to 10 s; 5 are always free, with 0 none'),
    breaker_failures: number(5, 0, 1_000, 'Failures in a row (or within the window, when half of its calls fail) after which the Core is left alone; 0 = never'),
    breaker_window_ms: number(10_000, 100, 600_000, 'That window'),
    breaker_open_ms: number(30_000, 100, 600_000, 'How long the Core is then left alone, ± 20 %, before one call tries'),
    pool: number(128, 1, 4_096, 'Connections to the Core at most (streams: as many as there are streams)'),
    connection_life_ms: number(60_000, 0, 86_400_000, 'How long a connection may serve new calls: by then a changed address or certificate is in use; 0 = for ever'),
    max_answer: number(16_777_216, 65_536, 1_073_741_824, 'Bytes of one answer of the Core at most', live),
    admin_roles: words(['admin'], 'Roles or scopes, of the Core\'s verdict or of a JWT, that stand for level admin'),
    user_roles: words(['user'], 'Roles or scopes that stand for level user; any other means no'),
    introspection_jwks_uri: text(undefined, { pattern: '^https?://\\S+$', description: 'Where the Core publishes the keys of its signed verdicts (RFC 9701); verdicts must be signed when set', examples: ['https://core.internal/.well-known/jwks.json'] }),
    introspection_issuer: text(undefined, { maxLength: 512, description: 'The `iss` of signed verdicts; `core.uri` when unset' }),
    introspection_audience: Type.String({ default: 'muxi-api', minLength: 1, maxLength: 512, description: 'The `aud` of signed verdicts: what the Core calls this server' }),
    tls_ca: text(undefined, { description: 'File with the certificates (PEM) that may have signed the Core\'s; the system\'s own when unset' }),
    tls_cert: text(undefined, { description: 'File with the certificate (PEM) shown to the Core' }),
    tls_key: text(undefined, { description: 'File with the key (PEM) of that certificate' }),
    tls_server_name: text(undefined, { pattern: '^[A-Za-z0-9._-]{1,253}$', description: 'Name that the Core\'s certificate must be for, where it is not the one in its address', examples: ['core.example.com'] })
  }, { additionalProperties: false, default: {} }),
  api: Type.Object({
    host: Type.String({ default: '127.0.0.1', pattern: '^[A-Za-z0-9.:_-]+$', description: 'Address to listen on; 0.0.0.0 or :: for all' }),
    port: number(8_000, 0, 65_535, 'Port to listen on; 0 for any free one'),
    public_url: text(undefined, { pattern: '^https?://[^\\s?#]+$', description: 'How clients reach this server, for the splash, the documents and the check of the Host header on /mcp', examples: ['https://api.example.com'] }),
    tls_cert: text(undefined, { description: 'File with the certificate (PEM); turns on TLS, HTTP/2 and, by ALPN, HTTP/1.1' }),
    tls_key: text(undefined, { description: 'File with the key (PEM) of that certificate' }),
    tls_min_version: Type.Unsafe<'1.2' | '1.3'>({ type: 'string', enum: ['1.2', '1.3'], default: '1.3', description: 'The oldest TLS that clients may speak' }),
    require_https: flag(false, 'Refuse what came in clear text from beyond loopback, unless a trusted proxy says that it came by https; /health and /health/ready excepted', live),
    trust_proxy: list(address, { description: 'Addresses or CIDR ranges of proxies whose X-Forwarded-* headers count', examples: [['10.0.0.0/8']] }),
    cors_origins: list(origin, { ...live, description: 'Origins of web pages that may call; the port may be *', examples: [['https://app.example.com']] }),
    admin_from: list(address, { ...live, description: 'Addresses or CIDR ranges that admin operations are allowed from; everywhere when empty', examples: [['10.0.0.0/8']] }),
    log_level: Type.Unsafe<LogLevel>({ ...live, type: 'string', enum: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], default: 'info', description: 'Lines below this level are not written' }),
    max_body: number(1_048_576, 1_024, 104_857_600, 'Bytes of a request\'s body at most; chat with attachments has 16 MiB'),
    request_timeout_ms: number(60_000, 1_000, 600_000, 'How long a request may take to arrive in full'),
    drain_timeout_ms: number(30_000, 0, 600_000, 'How long running requests may take to end after SIGTERM', live),
    rate_limit: number(600, 0, 1_000_000_000, 'Units a minute per key (most calls cost 1, heavy ones 6); admin keys have 10 times as many; 0 = no limit', live),
    rate_limit_subject: number(60, 0, 1_000_000_000, 'Units a minute per user that a key or token is bound to; 0 = no limit', live),
    rate_limit_mcp: number(100, 0, 1_000_000_000, 'MCP tool calls a minute per bound user; 10 times as many per key; 0 = no limit', live),
    key_cache_ms: number(60_000, 0, 3_600_000, 'How long the Core\'s yes to a key is fresh (one fifth more or less)', live),
    key_cache_soft_ms: number(300_000, 0, 3_600_000, 'How long after its yes a user key is served while the Core is asked again in the background; admin keys are asked for first', live),
    key_cache_stale_ms: number(900_000, 0, 86_400_000, 'How long after its yes a user key is served while the Core cannot be asked', live),
    key_cache_stale_admin_ms: number(0, 0, 86_400_000, 'The same for admin keys; 0: they are refused with 503', live),
    key_cache_negative_ms: number(5_000, 0, 600_000, 'How long the Core\'s no to a key is believed', live),
    key_cache_size: number(10_000, 1, 10_000_000, 'Keys remembered at most; as many refused ones'),
    key_attempts: number(10, 0, 1_000_000, 'Failed attempts a minute per address (IPv6: per /64) and per key; then blocked for a minute, twice as long each time; 0 = no limit', live),
    jwt_issuer: text(undefined, { maxLength: 512, description: 'Keys that are JWTs of this issuer (`iss`) are judged here, by their signature', examples: ['https://id.example.com'] }),
    jwt_audience: text(undefined, { maxLength: 512, description: 'What such a JWT must name as its audience (`aud`)', examples: ['muxi-api'] }),
    jwt_jwks_uri: text(undefined, { pattern: '^https?://\\S+$', description: 'Where the issuer publishes its keys (JWKS)', examples: ['https://id.example.com/.well-known/jwks.json'] }),
    user_tokens_secret: text(undefined, { ...key, minLength: 32, description: 'Turns on user tokens, and seals them; the same on all instances' }),
    webhook_secret: text(undefined, { ...key, ...live, minLength: 24, description: 'With which the Core signs revocations (Standard Webhooks; `whsec_` and base64, or any text)' }),
    audit_file: text(undefined, { description: 'File for the audit log, a JSON object per line; reopened on SIGHUP. The ordinary log when unset' }),
    redis_url: text(undefined, { pattern: '^rediss?://\\S+$', secret: true, description: 'Redis that instances share their state through; unset: this instance is alone', examples: ['redis://user:password@redis.internal:6379/0'] }),
    redis_prefix: Type.String({ default: 'muxi:', pattern: '^[\\x21-\\x7a]{1,64}$', description: 'What every key in Redis begins with' }),
    secret: text(undefined, { ...key, minLength: 32, description: 'From which every key for digests and ciphers is derived; the same on all instances, required with Redis; random at each start when unset' }),
    events_history: number(10_000, 1_000, 1_000_000, 'Log and trace events kept of each, for who comes back and for queries'),
    events_history_ms: number(86_400_000, 60_000, 2_592_000_000, 'How long they are kept at most'),
    streams_per_caller: number(100, 1, 1_000_000, 'Log and trace streams that one key may hold open at one instance', live),
    stream_rate: number(100, 0, 1_000_000, 'Events a second to one client of a log or trace stream; 0 = no limit', live),
    stream_buffer: number(1_000, 10, 100_000, 'Events that such a client may be behind for longer than a second before the oldest are left out, with a `gap`', live),
    stream_heartbeat_ms: number(15_000, 100, 600_000, 'How long such a stream is silent at most', live),
    stream_life_ms: number(3_600_000, 0, 604_800_000, 'How long such a stream is kept open, ± 20 %; 0 = for ever', live),
    stream_stall_ms: number(30_000, 100, 600_000, 'How long a client of such a stream may take nothing before its connection is cut', live),
    socket_ping_ms: number(20_000, 100, 600_000, 'How often a socket is pinged; one that gives no sign of life within two fifths of that is cut', live),
    socket_rate: number(50, 0, 1_000_000, 'Frames a second from one socket, four times as many at once; 0 = no limit', live),
    tracing_enabled: flag(true, 'Make traces of requests', live),
    tracing_stdout: flag(true, 'Write the log to standard output, a JSON object per line; each has its trace id'),
    tracing_level: Type.Unsafe<'trace' | 'debug' | 'info' | 'warn' | 'error'>({ ...live, type: 'string', enum: ['trace', 'debug', 'info', 'warn', 'error'], default: 'trace', description: 'Events below this level do not go to the file and the external sink; spans are of level trace, or error when they failed' }),
    tracing_components: { ...words([], 'Components whose spans are recorded; all when empty'), ...live },
    tracing_sample: number(100, 0, 100, 'Traces recorded, in percent; those with a failure always are', live),
    tracing_file: text(undefined, { description: 'File for logs and spans, rotated and compressed', examples: ['/var/log/muxi-api/trace.log'] }),
    tracing_format: text(undefined, { maxLength: 1_024, description: 'A line of that file, with {time}, {level}, {trace_id}, {span_id}, {service}, {component}, {operation}, {message}, {duration}, {json}; `readable` for [time] | LEVEL | trace id | component:operation - message; a JSON object per line when unset', examples: ['readable'] }),
    tracing_file_bytes: number(67_108_864, 4_096, 10_737_418_240, 'The file is rotated when it is larger than this'),
    tracing_file_age_ms: number(86_400_000, 1_000, 2_592_000_000, 'The file is rotated when it is older than this'),
    tracing_file_keep: number(14, 0, 10_000, 'Rotated files that are kept'),
    tracing_archive: text(undefined, { description: 'Folder for rotated files; beside the file when unset' }),
    tracing_external_sink: text(undefined, { pattern: '^https?://\\S+$', description: 'Where logs and spans are sent in batches, as lines of JSON (POST, application/x-ndjson, gzip)', examples: ['https://logs.example.com/ingest'] }),
    tracing_external_key: text(undefined, { ...key, minLength: 1, description: 'Sent there as `Authorization: Bearer`' }),
    mcp: flag(true, 'Serve the Model Context Protocol at /mcp'),
    mcp_sessions: flag(true, 'Open a session for clients of the MCP revisions that have them; otherwise every request stands alone', live),
    mcp_session_ms: number(1_800_000, 1_000, 86_400_000, 'How long such a session is kept after its last use', live),
    mcp_agent_tools: flag(true, 'List the tools of agents\' tool servers as tools of MCP, for admins', live),
    mcp_commands: flag(true, 'Let admins connect agents to tool servers that are started as a command on the Core\'s host', live),
    rtc: flag(true, 'Serve the signaling of WebRTC under /api/v1/rtc and on the socket'),
    rtc_lease_ms: number(25_000, 500, 60_000, 'How long a participant whose instance or connection is gone without a word is still in its room'),
    rtc_kept_ms: number(300_000, 1_000, 3_600_000, 'How long a closed room can be read'),
    ice_servers: list('^(?:stun|turn)s?:[^\\s,]{1,512}$', { ...live, description: 'STUN and TURN servers that WebRTC peers are told of', examples: [['stun:turn.example.com:3478', 'turn:turn.example.com:3478?transport=udp', 'turns:turn.example.com:5349']] }),
    turn_secret: text(undefined, { ...key, ...live, description: 'Shared with the TURN servers (`static-auth-secret` of coturn): each participant is given credentials of its own, by their REST scheme' }),
    turn_ttl_s: number(600, 60, 600, 'How many seconds such credentials are good for; new ones are sent at half of it', live),
    docs: flag(true, 'Serve the explorer at /docs')
  }, { additionalProperties: false, default: {} }),
  dev: Type.Object({
    user_key: text(undefined, { ...key, description: 'User key of the embedded Core; generated at each start when unset' }),
    admin_key: text(undefined, { ...key, description: 'Admin key of the embedded Core; generated at each start when unset' }),
    llm_url: text(undefined, { pattern: '^https?://\\S+$', description: 'An OpenAI-compatible endpoint that answers for the embedded Core\'s agents; a built-in model when unset', examples: ['http://localhost:11434/v1'] }),
    llm_key: text(undefined, { ...key, minLength: 1, description: 'Key of that endpoint' }),
    state: text(undefined, { description: 'File in which the embedded Core keeps its agents, memories, knowledge and conversations over restarts; nothing is kept when unset' }),
    llm_model: text(undefined, { maxLength: 256, description: 'Model to ask that endpoint for' })
  }, { additionalProperties: false, default: {}, description: 'Used by `muxi-api dev` alone' })
}, { additionalProperties: false })

type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
export type Config = Static<typeof Config>

/** One setting with all its names. */
export interface Setting {
  path: string
  group: keyof Config
  name: string
  env: string
  flag: string
  /** The names under which a file is named that holds the value; secrets alone have them. */
  file: { name: string, env: string, flag: string } | undefined
  schema: TSchema & { secret?: true, reload?: true, type: string }
}

/** Every setting of the schema, in its order. */
export const settings: Setting[] = Object.entries(Config.properties).flatMap(([group, { properties }]) =>
  Object.entries(properties).map(([name, value]) => {
    // The values of these objects are all made by the functions above.
    const schema = value as Setting['schema']
    const env = `MUXI_${group}_${name}`.toUpperCase()
    const flag = (group === 'api' ? name : `${group}-${name}`).replaceAll('_', '-')
    const file = schema.secret === true ? { name: `${name}_file`, env: `${env}_FILE`, flag: `${flag}-file` } : undefined
    return { path: `${group}.${name}`, group: group as keyof Config, name, env, flag, file, schema }
  }))

/** The value as it may be shown. */
export function shown ({ schema }: Pick<Setting, 'schema'>, value: unknown): string {
  if (value === undefined) return ''
  if (schema.secret === true) return '********'
  // Somebody may have written a password into an address.
  return (Array.isArray(value) ? value.join(',') : String(value)).replace(/\/\/[^/@]*@/, '//********@')
}
