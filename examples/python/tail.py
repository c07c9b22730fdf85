#!/usr/bin/env python3
"""Follows the log or the traces of a muxi-api, and goes on where it was when the connection breaks.

    MUXI_API_KEY=... python3 tail.py [--after ID] https://api.example.com logs level=warn service=billing

Every event is a line on standard output: its id, a tab, its JSON. With the id of the last one as `--after` a later
run goes on behind it. What is no event (gaps, ends, broken connections) is told on standard error.
Python 3.9 or later, nothing else.
"""
import argparse
import http.client
import os
import random
import sys
import time
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

# A comment comes after every 15 s of silence: longer than this, and the connection is dead.
SILENCE = 45
LONGEST_WAIT = 30


def blocks(lines):
    """The blocks of an event stream (WHATWG HTML, section 9.2.6); one that was cut off is none."""
    block = {}
    for line in lines:
        line = line.decode().rstrip('\r\n')
        if line == '':
            yield block
            block = {}
            continue
        name, _, value = line.partition(':')
        value = value[1:] if value.startswith(' ') else value
        block[name] = block[name] + '\n' + value if name == 'data' and name in block else value


def follow(url, key, after):
    """Every event as (name, id, data), for ever; ends with an HTTPError when the server will not have us."""
    last_id, retry, failures = after, 3.0, 0
    while True:
        wait = None
        headers = {'Authorization': f'Bearer {key}', 'Accept': 'text/event-stream'}
        if last_id:
            headers['Last-Event-ID'] = last_id
        try:
            with urlopen(Request(url, headers=headers), timeout=SILENCE) as response:
                complain(f'following {url} over HTTP/{response.version / 10}')
                for block in blocks(response):
                    failures = 0
                    if block.get('retry', '').isdigit():
                        retry = int(block['retry']) / 1000
                    # A block may have an id and nothing else: all up to there was left out by the filter.
                    last_id = block.get('id', last_id)
                    if 'data' in block:
                        yield block.get('event', 'message'), last_id, block['data']
        except HTTPError as error:
            if error.code != 429 and error.code < 500:
                raise
            complain(f'{error.code} {error.reason}')
            failures += 1
            seconds = error.headers.get('Retry-After', '')
            wait = int(seconds) if seconds.isdigit() else None
        except (OSError, http.client.HTTPException) as error:
            complain(f'the connection broke: {error}')
            failures += 1
        if wait is None:
            wait = min(retry * 2 ** min(failures, 10), LONGEST_WAIT)
        # Not all clients at once.
        time.sleep(wait * random.uniform(1, 1.25))


def complain(text):
    print(text, file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description='Follows the log or the traces of a muxi-api. The key is in MUXI_API_KEY.')
    parser.add_argument('url', help='where the server is, such as https://api.example.com')
    parser.add_argument('topic', choices=['logs', 'traces'])
    parser.add_argument('filter', nargs='*', help='such as level=warn')
    parser.add_argument('--after', metavar='ID', help='go on behind this event')
    args = parser.parse_args()
    query = urlencode([tuple(pair.partition('=')[::2]) for pair in args.filter])
    url = f'{args.url}/api/v1/{args.topic}/stream' + (f'?{query}' if query else '')
    try:
        for name, event_id, data in follow(url, os.environ['MUXI_API_KEY'], args.after):
            if name in ('log', 'trace'):
                print(event_id, data, sep='\t', flush=True)
            else:
                complain(f'{name} {data}')
    except HTTPError as error:
        sys.exit(f'{error.code} {error.read().decode()}')
    except KeyboardInterrupt:
        pass


if __name__ == '__main__':
    main()
