"""The official Python client of MCP, driven over standard input and output: one JSON object a line.

python mcp-client.py URL KEY MODE     MODE is "legacy" (initialize) or a revision such as "auto" or "2026-07-28"

{"tools": true}                       -> {"tools": [{"name": …, "outputSchema": …}]}
{"call": NAME, "arguments": {…}}      -> {"result": {…}} or {"error": {"code": …, "message": …}}
"""

import asyncio
import json
import sys

import httpx2
from mcp import MCPError
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client


def say(value):
    print(json.dumps(value), flush=True)


def wire(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def answer(client, wish):
    if "tools" in wish:
        return {"tools": [wire(tool) for tool in (await client.list_tools()).tools]}
    try:
        return {"result": wire(await client.call_tool(wish["call"], wish["arguments"]))}
    except MCPError as error:
        return {"error": {"code": error.code, "message": error.message}}


async def main(url, key, mode):
    status = []

    async def watch(response):
        status.append(response.status_code)

    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60, event_hooks={"response": [watch]}) as http:
        try:
            async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
                say({"connected": client.protocol_version})
                while line := await asyncio.to_thread(sys.stdin.readline):
                    say(await answer(client, json.loads(line)))
        except* Exception as group:
            say({"status": status[-1] if status else 0, "failed": repr(group.exceptions)})
            sys.exit(1)


asyncio.run(main(*sys.argv[1:]))
