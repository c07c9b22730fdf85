"""The official Python client of MCP, driven over standard input and output: one JSON object a line.

python client.py URL KEY MODE     MODE is "sse" (HTTP+SSE), "legacy" (initialize) or a revision such as "auto" or "2026-07-28"

{"tools": true}                       -> {"tools": [{"name": …, "outputSchema": …}]}
{"call": NAME, "arguments": {…}}      -> {"result": {…}}, {"error": {"code": …, "message": …}} or {"failed": …}
"""

import asyncio
import json
import sys

import httpx2
from mcp import MCPError
from mcp.client import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client


def say(value):
    print(json.dumps(value), flush=True)


def wire(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def answer(client, wish):
    try:
        if "tools" in wish:
            return {"tools": [wire(tool) for tool in (await client.list_tools()).tools]}
        return {"result": wire(await client.call_tool(wish["call"], wish["arguments"]))}
    except MCPError as error:
        return {"error": {"code": error.code, "message": error.message}}
    except Exception as error:
        return {"failed": repr(error)}


async def main(url, key, mode):
    status = []

    async def watch(response):
        status.append(response.status_code)

    def http(headers=None, timeout=60, auth=None):
        return httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=timeout, event_hooks={"response": [watch]})

    try:
        async with http() as shared:
            transport = sse_client(f"{url}/api/v1/mcp/stream", httpx_client_factory=http) if mode == "sse" else streamable_http_client(f"{url}/mcp", http_client=shared)
            async with Client(transport, mode="legacy" if mode == "sse" else mode, read_timeout_seconds=60) as client:
                say({"connected": client.protocol_version})
                while line := await asyncio.to_thread(sys.stdin.readline):
                    say(await answer(client, json.loads(line)))
    except* Exception as group:
        say({"status": status[-1] if status else 0, "failed": repr(group.exceptions)})
        sys.exit(1)


asyncio.run(main(*sys.argv[1:]))
