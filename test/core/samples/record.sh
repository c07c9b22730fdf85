#!/usr/bin/env bash
# Records what the real Core answers: scripts/real-core/start.sh test/core/samples/record.sh
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

call() { # FILE PATH [CURL OPTION…]
  local file=$1 path=$2
  shift 2
  curl --silent --show-error --no-buffer --output "$file" \
    --write-out "$file %{http_code} %{content_type}\n" "$CORE_URL$path" "$@" | tee -a answers.txt
}
admin=(-H "X-Muxi-Admin-Key: $CORE_ADMIN_KEY")
client=(-H "X-Muxi-Client-Key: $CORE_CLIENT_KEY" -H 'X-Muxi-User-Id: alice' -H 'Content-Type: application/json')
chat() { call "$1" /v1/chat "${client[@]}" --data "$2"; }

: > answers.txt
call health.json /v1/health
call agents.json /v1/agents "${admin[@]}"
call agent.json /v1/agents/greeter "${admin[@]}"
call status.json /v1/status "${admin[@]}"
chat chat.json '{"message":"What is two plus six?","stream":false,"session_id":"s-1","request_id":"req_plain"}'
chat chat-stream.sse '{"message":"Count [fake: tokens=5 delay_ms=50]","session_id":"s-1","request_id":"req_stream"}'
chat chat-stream-cut.sse '{"message":"Count [fake: tokens=5 cut_after=3]","session_id":"s-2","request_id":"req_cut"}'
call sessions.json /v1/sessions "${client[@]}"
call messages.json /v1/sessions/s-1/messages "${client[@]}"
call memories.json /v1/memories "${client[@]}"
call error-400-no-user.json /v1/sessions -H "X-Muxi-Client-Key: $CORE_CLIENT_KEY"
call error-401-no-key.json /v1/agents
call error-401-wrong-key.json /v1/agents -H 'X-Muxi-Admin-Key: wrong'
call error-404-agent.json /v1/agents/nobody "${admin[@]}"
call error-404-path.json /v1/nowhere
call error-405.json /v1/agents "${admin[@]}" -X POST
call error-422.json /v1/chat "${client[@]}" --data '{"stream":false}'
call error-422-not-json.json /v1/chat "${client[@]}" --data '{'
chat chat-stream-llm-503.sse '{"message":"Count [fake: status=503]","session_id":"s-3","request_id":"req_503"}'
# Last: after these failures the Core does not ask its LLM for a minute.
chat chat-stream-llm-500.sse '{"message":"Count [fake: status=500]","session_id":"s-4","request_id":"req_500"}'
chat chat-stream-apology.sse '{"message":"Count","session_id":"s-5","request_id":"req_apology"}'

call openapi.json /openapi.json
node --input-type=module --eval '
  import { readFileSync, writeFileSync } from "node:fs"
  const { info: { title, version }, paths } = JSON.parse(readFileSync("openapi.json", "utf8"))
  for (const path of Object.values(paths)) for (const method of Object.keys(path)) path[method] = {}
  const lines = Object.entries(paths).map((path) => path.map((part) => JSON.stringify(part)).join(": "))
  writeFileSync("openapi.json", `{\n"info": ${JSON.stringify({ title, version })},\n"paths": {\n${lines.join(",\n")}\n}\n}\n`)'
