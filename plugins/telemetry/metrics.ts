import { Counter, Histogram, Registry, collectDefaultMetrics, Gauge } from 'prom-client'

const seconds = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300]

export type Metrics = ReturnType<typeof createMetrics>

/** Every metric of the server, by its OpenTelemetry name where there is one. Labels come from closed sets: never an id, a URL or a key. */
export function createMetrics (version: string, active: () => number) {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  new Gauge({ name: 'muxi_api_build_info', help: 'Always 1; the label tells the version', labelNames: ['version'], registers }).set({ version }, 1)

  // Read when asked for: a gauge that counts costs more than a number.
  const current = new Gauge({ name: 'http_server_active_requests', help: 'Requests being answered', registers, collect () { current.set(active()) } })
  const requests = new Histogram({
    name: 'http_server_request_duration_seconds',
    help: 'Time from the first byte of a request to the last of its answer',
    labelNames: ['http_request_method', 'http_route', 'http_response_status_code', 'operation', 'protocol'],
    buckets: seconds,
    registers
  })
  const core = new Histogram({
    name: 'muxi_api_core_request_duration_seconds',
    help: 'Time of one exchange with the MUXI Core; status 0 means that no answer came',
    labelNames: ['method', 'route', 'status'],
    buckets: seconds,
    registers
  })
  const mcp = new Histogram({
    name: 'mcp_server_operation_duration_seconds',
    help: 'Time of one request of the Model Context Protocol; error_type is tool_error for a failed tool, else the code of JSON-RPC',
    labelNames: ['mcp_method_name', 'gen_ai_tool_name', 'mcp_protocol_version', 'error_type'],
    buckets: seconds,
    registers
  })
  const scraped: (() => void)[] = []
  return {
    registry,
    /** How many requests are being answered. */
    active,
    /** Runs before the metrics are read: for what is counted elsewhere. */
    onScrape: (fill: () => void) => { scraped.push(fill) },
    request: byLabels(requests, (of) => `${of.operation} ${of.http_request_method} ${of.http_response_status_code} ${of.protocol} ${of.http_route}`),
    core: byLabels(core, (of) => `${of.method} ${of.route} ${of.status}`),
    mcp: byLabels(mcp, (of) => `${of.mcp_method_name} ${of.gen_ai_tool_name} ${of.mcp_protocol_version} ${of.error_type}`),
    coreUp: new Gauge({ name: 'muxi_api_core_up', help: '1 while the MUXI Core passes its check', registers }),
    coreMalformed: new Counter({ name: 'muxi_api_core_malformed_frames_total', help: 'Frames of the MUXI Core that could not be read', registers }),
    coreInUse: new Gauge({ name: 'muxi_api_core_in_use', help: '1 at the address of the MUXI Core that calls go to', labelNames: ['target'], registers }),
    coreFailovers: new Counter({ name: 'muxi_api_core_failovers_total', help: 'Switches to another address of the MUXI Core, and back', labelNames: ['to'], registers }),
    coreBreaker: new Gauge({ name: 'muxi_api_core_breaker_state', help: 'The breaker before the MUXI Core: 0 closed, 1 half open, 2 open', labelNames: ['target'], registers }),
    coreBreakerOpened: new Counter({ name: 'muxi_api_core_breaker_opened_total', help: 'How often it opened', labelNames: ['target'], registers }),
    coreRefused: new Counter({ name: 'muxi_api_core_refused_total', help: 'Calls turned away because it was open', registers }),
    coreRetries: new Counter({ name: 'muxi_api_core_retries_total', help: 'Calls to the MUXI Core that were repeated, or not because the budget was spent', labelNames: ['outcome'], registers }),
    coreConnections: new Gauge({
      name: 'muxi_api_core_connections',
      help: 'Connections to the MUXI Core that are open, calls that run on them, and calls that wait for one',
      labelNames: ['target', 'state'],
      registers,
      collect () { for (const fill of scraped) fill() }
    }),
    verdicts: new Counter({ name: 'muxi_api_key_verdicts_total', help: 'Keys checked, by where the verdict came from and what it was', labelNames: ['source', 'verdict'], registers }),
    staleVerdicts: new Counter({ name: 'muxi_api_key_verdicts_stale_total', help: 'Calls let in by an older verdict, while the Core could not be asked', registers }),
    refusals: new Counter({ name: 'muxi_api_refusals_total', help: 'Calls turned away for their key, its level or its signature', labelNames: ['reason'], registers }),
    audited: new Counter({ name: 'muxi_api_audit_events_total', help: 'Security events', labelNames: ['event'], registers }),
    refused: new Counter({ name: 'muxi_api_refused_total', help: 'What the HTTP parser refused before there was a request', labelNames: ['code'], registers }),
    limited: new Counter({ name: 'muxi_api_rate_limited_total', help: 'Calls turned away by a limit', labelNames: ['scope'], registers }),
    reloads: new Counter({ name: 'muxi_api_config_reloads_total', help: 'Times the settings were read again, by what came of it', labelNames: ['result'], registers }),
    reloaded: new Gauge({ name: 'muxi_api_config_last_reload_success_timestamp_seconds', help: 'When valid settings were last read, the start included', registers }),
    eventsPublished: new Counter({ name: 'muxi_api_events_published_total', help: 'Log and trace events taken into the streams', labelNames: ['topic'], registers }),
    eventsLost: new Counter({ name: 'muxi_api_events_lost_total', help: 'Events given up because what the instances share was away for too long', labelNames: ['topic'], registers }),
    eventsSampled: new Counter({ name: 'muxi_api_events_sampled_total', help: 'Spans left out because more came than could be kept', registers }),
    eventsDelivered: new Counter({ name: 'muxi_api_events_delivered_total', help: 'Events written to clients of the streams', labelNames: ['topic'], registers }),
    sinkLost: new Counter({ name: 'muxi_api_sink_events_lost_total', help: 'Events that a sink could not take', labelNames: ['sink'], registers }),
    streamGaps: new Counter({ name: 'muxi_api_stream_gaps_total', help: 'Gaps that clients were told of', labelNames: ['topic', 'reason'], registers }),
    sockets: new Gauge({ name: 'muxi_api_sockets_open', help: 'Open WebSockets', registers }),
    socketFrames: new Counter({ name: 'muxi_api_socket_frames_total', help: 'Frames of WebSockets, by whether they came in or went out, and by type', labelNames: ['direction', 'type'], registers }),
    socketCloses: new Counter({ name: 'muxi_api_socket_closes_total', help: 'WebSockets that have ended, by close code', labelNames: ['code'], registers }),
    streams: new Gauge({ name: 'muxi_api_sse_streams', help: 'Open streams of server-sent events, by what they carry', labelNames: ['kind'], registers })
  }
}

/** Finding a histogram's series by its labels costs more than the observation: each combination is looked up once. */
function byLabels<T extends string> (histogram: Histogram<T>, idOf: (labels: Record<T, string | number>) => string): (labels: Record<T, string | number>, value: number) => void {
  const series = new Map<string, { observe: (value: number) => void }>()
  return (labels, value) => {
    const id = idOf(labels)
    let one = series.get(id)
    if (one === undefined) series.set(id, one = histogram.labels(labels))
    one.observe(value)
  }
}
