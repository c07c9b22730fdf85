import type { Host } from './snippets.ts'

const question = 'What is 6 times 7?'

/** Clients in the languages that have one; each was tried as it stands here. */
export function programsFor (mcp: string): Host[] {
  return [
    {
      id: 'python',
      title: 'Python',
      group: 'Programs',
      place: '<code>fastmcp</code> takes the key as it is; <code>mcp</code> is the official package, from version 2 on.',
      code: [
        {
          label: 'fastmcp',
          text: `import asyncio, os
from fastmcp import Client

async def main():
    async with Client("${mcp}", auth=os.environ["MUXI_API_KEY"]) as client:
        print([tool.name for tool in await client.list_tools()])
        print((await client.call_tool("chat_send", {"content": "${question}"})).data)

asyncio.run(main())`
        },
        {
          label: 'mcp',
          text: `import asyncio, os
from mcp import Client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

async def main():
    http = create_mcp_http_client(headers={"Authorization": f"Bearer {os.environ['MUXI_API_KEY']}"})
    async with http, Client(streamable_http_client("${mcp}", http_client=http)) as client:
        print((await client.call_tool("chat_send", {"content": "${question}"})).structured_content)

asyncio.run(main())`
        }
      ]
    },
    {
      id: 'typescript',
      title: 'TypeScript',
      group: 'Programs',
      place: '<code>npm install @modelcontextprotocol/client</code>',
      code: [{
        label: '@modelcontextprotocol/client',
        text: `import { env } from 'node:process'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const client = new Client({ name: 'my-app', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } })
await client.connect(new StreamableHTTPClientTransport(new URL('${mcp}'), {
  requestInit: { headers: { Authorization: \`Bearer \${env.MUXI_API_KEY}\` } }
}))
const answer = await client.callTool({ name: 'chat_send', arguments: { content: '${question}' } })
console.log(answer.structuredContent)
await client.close()`
      }]
    },
    {
      id: 'go',
      title: 'Go',
      group: 'Programs',
      place: '<code>go get github.com/modelcontextprotocol/go-sdk</code>',
      code: [{ label: 'main.go', text: go(mcp) }]
    }
  ]
}

const go = (mcp: string): string => `package main

import (
  "context"
  "fmt"
  "log"
  "net/http"
  "os"

  "github.com/modelcontextprotocol/go-sdk/mcp"
)

type withKey struct{}

func (withKey) RoundTrip(request *http.Request) (*http.Response, error) {
  request = request.Clone(request.Context())
  request.Header.Set("Authorization", "Bearer "+os.Getenv("MUXI_API_KEY"))
  return http.DefaultTransport.RoundTrip(request)
}

func main() {
  ctx := context.Background()
  client := mcp.NewClient(&mcp.Implementation{Name: "my-app", Version: "1.0.0"}, nil)
  session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
    Endpoint:   "${mcp}",
    HTTPClient: &http.Client{Transport: withKey{}},
  }, nil)
  if err != nil {
    log.Fatal(err)
  }
  defer session.Close()
  answer, err := session.CallTool(ctx, &mcp.CallToolParams{
    Name:      "chat_send",
    Arguments: map[string]any{"content": "${question}"},
  })
  if err != nil {
    log.Fatal(err)
  }
  fmt.Println(answer.StructuredContent)
}`.replaceAll(/^ +/gm, (indent) => '\t'.repeat(indent.length / 2))
