"""fastmcp's client, driven as client.py is: see there."""

import asyncio
import json
import sys

import httpx2
from fastmcp import Client
from fastmcp.client.transports import SSETransport, StreamableHttpTransport
from mcp import MCPError


def say(value):
    print(json.dumps(value), flush=True)


def wire(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def answer(client, wish):
    try:
        if "tools" in wish:
            return {"tools": [wire(tool) for tool in await client.list_tools()]}
        return {"result": wire(await client.call_tool_mcp(wish["call"], wish["arguments"]))}
    except MCPError as error:
        return {"error": {"code": error.code, "message": error.message}}
    except Exception as error:
        return {"failed": repr(error)}


async def main(url, key, mode):
    status = []

    async def watch(response):
        status.append(response.status_code)

    def http(**options):
        options.setdefault("timeout", 60)
        return httpx2.AsyncClient(**options, event_hooks={"response": [watch]})

    if mode == "sse":
        transport = SSETransport(f"{url}/api/v1/mcp/stream", auth=key, httpx_client_factory=http)
    else:
        transport = StreamableHttpTransport(f"{url}/mcp", auth=key, httpx_client_factory=http)
    try:
        async with Client(transport, mode="legacy" if mode == "sse" else mode, timeout=60) as client:
            say({"connected": client.protocol_version})
            while line := await asyncio.to_thread(sys.stdin.readline):
                say(await answer(client, json.loads(line)))
    except Exception as error:
        say({"status": status[-1] if status else 0, "failed": repr(error)})
        sys.exit(1)


asyncio.run(main(*sys.argv[1:]))
