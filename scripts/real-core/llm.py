"""A deterministic LLM behind the OpenAI API: it answers `echo: <message>`.

One block in a message steers its own answer: [fake: tokens=40 delay_ms=20 hang_ms=500 status=503 cut_after=3]

    tokens     that many words, `w1 w2 …`, instead of the echo
    delay_ms   pause before each streamed word but the first
    hang_ms    pause before the answer
    status     this HTTP status instead of an answer
    cut_after  the connection breaks after that many streamed words
"""

import json
import math
import random
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIMENSIONS = 1536

# Questions of the Core that want JSON, each known by a member that its prompt asks for.
JSON_QUESTIONS = {
    '"needs_clarification"': {
        "needs_clarification": False,
        "reason": "clear",
        "mode": "direct",
        "question": None,
        "confidence": 1.0,
        "mcp_service": None,
    },
    '"delegate_steps"': {"steps": [], "my_steps": [], "delegate_steps": [], "data_flow": ""},
}
REWORD = re.compile(r'The user said: "(.*)"\s+Available tool servers:', re.DOTALL)
RESTYLE = re.compile(r"User request: .*?\nAgent response: (.*)", re.DOTALL)


def text_of(message):
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def steering_in(message):
    block = re.search(r"\[fake:([^]]*)\]", message)
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", block[1])} if block else {}


def example(schema, message):
    """The least value of a JSON schema; of several choices, one that the message names."""
    if "enum" in schema:
        choices = schema["enum"]
        return next((choice for choice in choices if choice and str(choice).lower() in message.lower()), choices[0])
    types = schema.get("type", "string")
    first = types if isinstance(types, str) else types[0]
    if first == "object":
        return {name: example(member, message) for name, member in schema.get("properties", {}).items()}
    return {"array": [], "boolean": False, "integer": 0, "number": 0, "null": None}.get(first, "")


def answer_to(request):
    """The text of the answer, what steers how it is sent, and whether it is the agent's own reply.

    Within one turn the Core asks whether the message is clear, which agent takes it, for a plan, for a
    clearer wording, for the reply, and at last for the reply in its persona's voice.
    """
    messages = request.get("messages", [])
    message = next((text_of(m) for m in reversed(messages) if m.get("role") == "user"), "").strip()
    wanted = request.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return json.dumps(example(wanted["json_schema"]["schema"], message)), {}, False
    prompt = "\n".join(map(text_of, messages))
    for mark, value in JSON_QUESTIONS.items():
        if mark in prompt:
            return json.dumps(value), {}, False
    if wanted.get("type") == "json_object":
        return "{}", {}, False
    if found := REWORD.match(message):
        return found[1], {}, False
    if found := RESTYLE.match(message):
        return found[1], steering_in(message), False

    if message.startswith("Respond to: "):  # what follows the message is context
        message = message.removeprefix("Respond to: ").partition("\n\n=== ")[0]
    steering = steering_in(message)
    words = range(1, steering.get("tokens", 0) + 1)
    return " ".join(f"w{n}" for n in words) or f"echo: {message}", steering, True


def embedding_of(text):
    generator = random.Random(text)
    vector = [generator.gauss(0, 1) for _ in range(DIMENSIONS)]
    length = math.hypot(*vector)
    return [value / length for value in vector]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        models = [{"id": name, "object": "model"} for name in ("test-chat", "test-embedding")]
        self.send({"object": "list", "data": models})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.endswith("/embeddings"):
            return self.embed(request)
        if self.path.endswith("/chat/completions"):
            return self.chat(request)
        self.send({"error": {"message": f"no operation {self.path}"}}, 404)

    def send(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def embed(self, request):
        texts = request["input"] if isinstance(request["input"], list) else [request["input"]]
        data = [{"object": "embedding", "index": n, "embedding": embedding_of(str(t))} for n, t in enumerate(texts)]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        self.send({"object": "list", "model": request["model"], "data": data, "usage": usage})

    def chat(self, request):
        text, steering, own_reply = answer_to(request)
        # The persona's question carries the same block; waiting and failing once a turn is enough.
        if own_reply:
            time.sleep(steering.get("hang_ms", 0) / 1000)
            if "status" in steering:
                return self.send({"error": {"message": "failed as asked", "type": "fake"}}, steering["status"])
        completion = {"id": "chatcmpl-test", "created": 0, "model": request["model"]}
        if request.get("stream"):
            return self.stream(completion | {"object": "chat.completion.chunk"}, text, steering)
        count = len(text.split())
        self.send(completion | {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": count, "total_tokens": 1 + count},
        })

    def stream(self, chunk, text, steering):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for n, word in enumerate(re.findall(r"\s*\S+", text)):
            if n and n == steering.get("cut_after"):
                self.close_connection = True
                return
            if n:
                time.sleep(steering.get("delay_ms", 0) / 1000)
            self.frame(chunk | {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
        self.frame(chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self.write_chunk(b"data: [DONE]\n\n")
        self.write_chunk(b"")

    def frame(self, value):
        self.write_chunk(f"data: {json.dumps(value)}\n\n".encode())

    def write_chunk(self, data):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))


class Server(ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    host, port = sys.argv[1:]
    Server((host, int(port)), Handler).serve_forever()
