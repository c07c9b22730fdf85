// Command tail follows the log or the traces of a muxi-api, and goes on where it was when the connection breaks.
//
//	MUXI_API_KEY=... go run tail.go [-after ID] https://api.example.com logs level=warn service=billing
//
// Every event is a line on standard output: its id, a tab, its JSON. With the id of the last one as -after a later run
// goes on behind it. What is no event (gaps, ends, broken connections) is told on standard error. Standard library only.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// A comment comes after every 15 s of silence: longer than this, and the connection is dead.
	silence     = 45 * time.Second
	longestWait = 30 * time.Second
)

// errRefused is an answer that will not get better by asking again.
var errRefused = errors.New("refused")

// tail is one stream over all its connections.
type tail struct {
	url, key, lastID string
	retry            time.Duration
	failures         int
}

func main() {
	after := flag.String("after", "", "go on behind this `id`")
	flag.Parse()
	if flag.NArg() < 2 {
		fmt.Fprintln(os.Stderr, "usage: tail [-after ID] URL logs|traces [name=value ...]; the key is in MUXI_API_KEY")
		os.Exit(2)
	}
	query := url.Values{}
	for _, pair := range flag.Args()[2:] {
		name, value, _ := strings.Cut(pair, "=")
		query.Set(name, value)
	}
	address := flag.Arg(0) + "/api/v1/" + flag.Arg(1) + "/stream?" + query.Encode()
	t := tail{url: address, key: os.Getenv("MUXI_API_KEY"), lastID: *after, retry: 3 * time.Second}
	for {
		wait, err := t.connect()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		if errors.Is(err, errRefused) {
			os.Exit(1)
		}
		if wait == 0 {
			wait = min(t.retry<<min(t.failures, 10), longestWait)
		}
		// Not all clients at once.
		time.Sleep(wait + time.Duration(rand.Int63n(int64(wait)/4+1)))
	}
}

// connect reads one connection to its end, and says how long to wait where the server does.
func (t *tail) connect() (time.Duration, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	alarm := time.AfterFunc(silence, cancel)
	defer alarm.Stop()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errRefused, err)
	}
	request.Header.Set("Authorization", "Bearer "+t.key)
	request.Header.Set("Accept", "text/event-stream")
	if t.lastID != "" {
		request.Header.Set("Last-Event-ID", t.lastID)
	}
	t.failures++
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 65_536))
		if response.StatusCode != http.StatusTooManyRequests && response.StatusCode < 500 {
			return 0, fmt.Errorf("%w: %s %s", errRefused, response.Status, body)
		}
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return time.Duration(seconds) * time.Second, fmt.Errorf("%s %s", response.Status, body)
	}
	fmt.Fprintf(os.Stderr, "following %s over %s\n", t.url, response.Proto)
	return 0, t.read(response.Body, func() { alarm.Reset(silence) })
}

// read takes the stream apart (WHATWG HTML, section 9.2.6); a block that was cut off is none.
func (t *tail) read(body io.Reader, alive func()) error {
	lines := bufio.NewReader(body)
	block := map[string]string{}
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the connection broke: %w", err)
		}
		alive()
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			t.take(block)
			block = map[string]string{}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		if before, more := block[name]; more && name == "data" {
			value = before + "\n" + value
		}
		block[name] = value
	}
}

func (t *tail) take(block map[string]string) {
	t.failures = 0
	if ms, err := strconv.Atoi(block["retry"]); err == nil {
		t.retry = time.Duration(ms) * time.Millisecond
	}
	// A block may have an id and nothing else: all up to there was left out by the filter.
	if id, given := block["id"]; given {
		t.lastID = id
	}
	data, given := block["data"]
	switch event := block["event"]; {
	case !given:
	case event == "log" || event == "trace":
		fmt.Printf("%s\t%s\n", t.lastID, data)
	default:
		fmt.Fprintln(os.Stderr, event, data)
	}
}
