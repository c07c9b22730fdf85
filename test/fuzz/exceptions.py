"""What the generated calls may meet although a check of schemathesis objects: one function each, which says why.

Each names the check, the operations and the very answer that it lets pass; whatever else the check finds still fails.
"""

import json
import os
import re
from collections.abc import Callable

import schemathesis
from hypothesis import strategies as st

Rule = Callable[[object, object, dict], bool]
rules: list[tuple[str, str, Rule]] = []

CHATS = "chat_send|chat_stream|agent_chat_send|agent_chat_stream"
CONDITIONAL = "agent_update|agent_delete|user_context_create|user_context_update|user_context_delete"


def passes(failure: str, operations: str) -> Callable[[Rule], Rule]:
    """Registers an exception: the title of the failure, the ids of the operations ("*": all of them)."""

    def register(rule: Rule) -> Rule:
        rules.append((failure, operations, rule))
        return rule

    return register


def refused(answer: dict, field: str) -> bool:
    """Whether an answer is the refusal of one field, and no other."""
    error = answer.get("error") or {}
    details = error.get("details") or {}
    named = [details.get("field"), *(item.get("field") for item in details.get("errors", []))]
    return any(name is not None and re.fullmatch(field, name) for name in named)


REJECTED = "Schema-valid request rejected"
ACCEPTED = "Schema-violating request accepted"


@passes(REJECTED, CONDITIONAL)
def tag_of_another_state(case, response, answer):
    """No generated `If-Match` is the tag of what is there now: 412 is the right answer, and the tool's list of refusals lacks it."""
    return response.status_code == 412 and case.headers is not None and "if-match" in case.headers


@passes(REJECTED, "agent_memory_clear")
def one_parameter_or_the_other(case, response, answer):
    """OpenAPI describes parameters one by one: that `user_id` and `all` exclude each other is prose."""
    return response.status_code == 400 and refused(answer, "querystring.user_id")


@passes(REJECTED, CHATS)
def bytes_of_an_attachment(case, response, answer):
    """Whether the bytes begin as the media type says is beyond a schema: it sees the base64."""
    return response.status_code == 415 and refused(answer, r"body\.attachments\.\d+\.data")


@passes(REJECTED, "user_context_create|user_context_update")
def free_json(case, response, answer):
    """The depth, the size in bytes and the forbidden names (`__proto__`) of free JSON at any level are beyond a schema."""
    return response.status_code == 400 and refused(answer, r"body\.knowledge")


@passes(REJECTED, "mcp_server_connect|agent_import")
def url_and_token_of_a_tool_server(case, response, answer):
    """What is a URL is decided by the WHATWG parser, what fits into a header by its name `token`: no pattern says either."""
    return response.status_code == 400 and refused(answer, r"url|credentials|mcp_servers(?:\.\d+\.(?:url|credentials))?")


@passes(REJECTED, "mcp_message_send|mcp_message_stream|mcp_session_delete|mcp_request_send")
def the_rules_of_another_protocol(case, response, answer):
    """The document leaves messages and sessions to JSON-RPC and MCP, which refuse in a form of their own."""
    return response.status_code in (400, 404, 405, 406) and answer.get("jsonrpc") == "2.0"


@passes(REJECTED, "*")
def the_key_of_another_call(case, response, answer):
    """The example of `Idempotency-Key` comes with one body after the other: that the second is 422 is what the key is for."""
    return response.status_code == 422 and (answer.get("error") or {}).get("code") == "unprocessable" and "Idempotency-Key" in (case.headers or {})


@passes(REJECTED, "*")
def a_name_in_a_header(case, response, answer):
    """What bytes of a header spell (UTF-8 here, and no control characters) is beyond a schema of characters."""
    return response.status_code == 400 and refused(answer, r"headers\.x-muxi-user-id")


@passes(REJECTED, "trace_list|trace_search|trace_get|mcp_tool_list")
def a_place_that_is_not_there(case, response, answer):
    """Which spans are kept, which list a cursor comes from and whether a short id names one trace alone is beyond a schema."""
    return response.status_code == 400 and refused(answer, r"before|cursor|trace_id|(?:querystring|body|params)\.(?:before|cursor|trace_id)")


@passes(REJECTED, "rtc_offer_send")
def a_restart_without_a_tag(case, response, answer):
    """That a header must be there when a field of the body is true is beyond OpenAPI."""
    return response.status_code == 428 and "if-match" not in (case.headers or {})


@passes(REJECTED, "ws_connect")
def no_socket(case, response, answer):
    """The tool sends an ordinary request; what makes it an upgrade is in headers that HTTP clients keep for themselves."""
    return response.status_code == 426 and (answer.get("error") or {}).get("code") == "upgrade_required"


@passes("API accepts requests without authentication", "*")
def shown_by_a_ticket(case, response, answer):
    """The tool took the key away, but left a ticket in the query that it had made before: that is authentication, too."""
    return "ticket=muxi_ticket_" in response.request.url


@passes("Server error", "rtc_session_create")
def a_mode_that_is_reserved(case, response, answer):
    """`mode: agent` has its name already, and 501 until it is there."""
    return response.status_code == 501 and (answer.get("error") or {}).get("code") == "not_implemented"


@passes("Deleted resource still available", "agent_conversation_list|agent_memory_search")
def emptied_and_not_gone(case, response, answer):
    """Clearing what was said or remembered empties a list; the list itself stays, and is empty."""
    return response.status_code == 200


@passes(REJECTED, "*")
def too_long_in_bytes(case, response, answer):
    """Limits of text count characters; percent-encoded the same text can pass the 16 KiB of headers that HTTP's parser takes."""
    return response.status_code == 431 and len(response.request.url) > 8_192


@passes(ACCEPTED, "*")
def too_long_to_be_read(case, response, answer):
    """413 and 431 are refusals: the input was too long to be looked at. The tool's list lacks them."""
    return response.status_code in (413, 431)


@passes(ACCEPTED, "mcp_message_send")
def refused_inside(case, response, answer):
    """A tool call has the `Idempotency-Key` of its message: the operation behind refuses a bad one, and that is an error in the result, with 200."""
    return response.status_code == 200 and "Idempotency-Key" in (case.headers or {})


@passes("SSE event violates schema", "chat_stream|agent_chat_stream|log_stream|trace_stream|mcp_message_send|mcp_stream_open|rtc_event_stream")
def a_stream_is_text(case, response, answer):
    """OpenAPI 3.1 describes a stream as one text; the tool takes the schema for that of each event. `whole_stream` looks at the events."""
    return True


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """True for a failure that counts."""
    operation = case.operation.definition.raw.get("operationId", "")
    try:
        answer = json.loads(response.content)
    except ValueError:
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    return not any(
        failure.title == title and (operations == "*" or operation in operations.split("|")) and rule(case, response, answer)
        for title, operations, rule in rules
    )


@schemathesis.check
def whole_stream(ctx, response, case):
    """A chat stream begins with `message_start` and ends by itself with `message_end` or `error`, one of the log or the traces with `end`, one of MCP begins with `endpoint`; every event is JSON, but that."""
    if not response.headers.get("content-type", [""])[0].startswith("text/event-stream") or case.path == "/mcp":
        return
    blocks = [block for block in response.text.split("\n\n") if "event: " in block]
    names = [re.search(r"^event: (\w+)$", block, re.M).group(1) for block in blocks]
    if case.path == "/api/v1/mcp/stream":
        assert names == ["endpoint"], f"a stream to which nothing is sent has the events {names}"
        assert re.search(r"^data: /api/v1/mcp/request\?session_id=\w+", blocks[0], re.M), f"no address is in {blocks[0]!r}"
        return
    for block in blocks:
        json.loads(re.search(r"^data: (.*)$", block, re.M).group(1))
    if case.path.startswith("/api/v1/rtc/"):
        assert names[0] == "rtc_state" and names[-1] == "end", f"the stream begins with {names[0]} and ends with {names[-1]}"
        return
    if case.path in ("/api/v1/logs/stream", "/api/v1/traces/stream"):
        assert names[-1] == "end", f"the stream ends with {names[-1]}"
        unknown = set(names) - {"log" if "logs" in case.path else "trace", "gap", "end"}
        assert not unknown, f"the stream has the events {unknown}"
        return
    assert names[:1] in (["message_start"], ["error"]), f"the stream begins with {names[:1]}"
    assert names[-1] in ("message_end", "error"), f"the stream ends with {names[-1]}"
    unknown = set(names) - {"message_start", "content", "tool_call_start", "tool_call_end", "message_end", "error"}
    assert not unknown, f"the stream has the events {unknown}"


@schemathesis.hook.apply_to(operation_id="agent_memory_clear")
def map_query(context, query):
    """Both parameters together are refused at once: most calls send one, and come further."""
    if query and "user_id" in query and isinstance(query.get("all"), bool):
        return {name: value for name, value in query.items() if name != "all"}
    return query


METHODS = ["initialize", "ping", "tools/list", "tools/call", "server/discover", "notifications/initialized", "nothing/such"]
TOOLS = ["agent_list", "agent_get", "chat_send", "user_context_update", "knowledge_search", "mcp_server_connect", "nothing_such"]


@schemathesis.hook.apply_to(operation_id="mcp_message_send")
def flatmap_body(context, body):
    """Any JSON is no message of the protocol: half of the calls send one, with that JSON somewhere in it."""
    request = {"jsonrpc": st.just("2.0"), "id": st.integers(0, 9) | st.text(max_size=8)}
    message = st.fixed_dictionaries({**request, "method": st.sampled_from(METHODS), "params": st.just(body)})
    params = st.fixed_dictionaries({"name": st.sampled_from(TOOLS), "arguments": st.just(body)})
    tool_call = st.fixed_dictionaries({**request, "method": st.just("tools/call"), "params": params})
    return st.just(body) | message | tool_call | st.lists(message | tool_call, max_size=3)


@schemathesis.hook
def before_call(context, case, kwargs):
    """The tool server of the examples is one that runs, so that a connection can succeed."""
    if isinstance(case.body, (dict, list)) and "http://localhost:5001" in (text := json.dumps(case.body)):
        case.body = json.loads(re.sub(r"http://localhost:5001(?:/mcp)?", os.environ["FUZZ_TOOL_SERVER"], text))
