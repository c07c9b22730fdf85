// The official Go client of MCP, driven as client.py is: see there. MODE is "sse", "auto", or a revision.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type wish struct {
	Tools     bool           `json:"tools"`
	Call      string         `json:"call"`
	Arguments map[string]any `json:"arguments"`
}

// keyed adds the key to every request, and keeps the status of the last answer.
type keyed struct {
	key    string
	status atomic.Int64
}

func (k *keyed) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+k.key)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err == nil {
		k.status.Store(int64(response.StatusCode))
	}
	return response, err
}

func say(value map[string]any) {
	json.NewEncoder(os.Stdout).Encode(value)
}

func answer(session *mcp.ClientSession, wish wish) map[string]any {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if wish.Tools {
		list, err := session.ListTools(ctx, nil)
		if err != nil {
			return failure(err)
		}
		return map[string]any{"tools": list.Tools}
	}
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: wish.Call, Arguments: wish.Arguments})
	if err != nil {
		return failure(err)
	}
	return map[string]any{"result": result}
}

func failure(err error) map[string]any {
	var rpc *jsonrpc.Error
	if errors.As(err, &rpc) {
		return map[string]any{"error": map[string]any{"code": rpc.Code, "message": rpc.Message}}
	}
	return map[string]any{"failed": err.Error()}
}

func main() {
	url, key, mode := os.Args[1], os.Args[2], os.Args[3]
	round := &keyed{key: key}
	httpClient := &http.Client{Transport: round}
	options := &mcp.ClientSessionOptions{}
	var transport mcp.Transport = &mcp.StreamableClientTransport{Endpoint: url + "/mcp", HTTPClient: httpClient}
	switch mode {
	case "auto":
	case "sse":
		transport = &mcp.SSEClientTransport{Endpoint: url + "/api/v1/mcp/stream", HTTPClient: httpClient}
		options.ProtocolVersion = "2025-11-25"
	default:
		options.ProtocolVersion = mode
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "muxi-api-e2e", Version: "1.0.0"}, nil).Connect(context.Background(), transport, options)
	if err != nil {
		say(map[string]any{"status": round.status.Load(), "failed": err.Error()})
		os.Exit(1)
	}
	say(map[string]any{"connected": session.InitializeResult().ProtocolVersion})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked wish
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		say(answer(session, asked))
	}
	session.Close()
}
