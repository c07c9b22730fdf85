"""A user of the generated client: everything below is typed by the document alone."""

import json
import sys

from muxi import AuthenticatedClient
from muxi.api.agents import agent_create, agent_delete, agent_get, agent_list, agent_update
from muxi.api.chat import chat_send
from muxi.api.users import user_context_create, user_context_get, user_context_update
from muxi.models import (
    AgentCreate,
    AgentCreateModel,
    AgentListSort,
    AgentUpdate,
    ChatInput,
    Error,
    UserContextCreateBody,
    UserContextCreateBodyKnowledge,
    UserContextUpdateBody,
    UserContextUpdateBodyKnowledge,
)

base_url, user_key, admin_key, id = sys.argv[1:]


def client_for(key: str) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=base_url, token=key, raise_on_unexpected_status=True)


def code_of(answer: object) -> str:
    assert isinstance(answer, Error)
    return str(answer.error.code)




with client_for(user_key) as user, client_for(admin_key) as admin:
    chat = chat_send.sync(client=user, body=ChatInput(content="What is 6 times 7?", user_id=id))
    assert chat is not None and not isinstance(chat, Error)
    refused = agent_list.sync(client=user)
    unknown = chat_send.sync(client=client_for("sk_muxi_user_nobody"), body=ChatInput(content="Hello"))

    created = agent_create.sync(client=admin, body=AgentCreate(id=id, description="Counts", model=AgentCreateModel(provider="openai", model="gpt-4o")))
    assert created is not None and not isinstance(created, Error)
    agents = agent_list.sync(client=admin, limit=100, sort=AgentListSort.ID)
    assert agents is not None and not isinstance(agents, Error)
    read = agent_get.sync_detailed(id, client=admin)
    assert read.parsed is not None and not isinstance(read.parsed, Error)
    tag = read.headers["etag"]
    updated = agent_update.sync(id, client=admin, body=AgentUpdate(description="Counts on"), if_match=tag)
    assert updated is not None and not isinstance(updated, Error)
    late = agent_update.sync_detailed(id, client=admin, body=AgentUpdate(description="Too late"), if_match=tag)
    again = agent_get.sync(id, client=admin)
    assert again is not None and not isinstance(again, Error)
    deleted = agent_delete.sync(id, client=admin)
    assert deleted is not None and not isinstance(deleted, Error)

    knowledge = UserContextCreateBodyKnowledge.from_dict({"name": "Ada", "location": {"city": "Oslo"}})
    added = user_context_create.sync(id, client=admin, body=UserContextCreateBody(knowledge=knowledge))
    assert added is not None and not isinstance(added, Error)
    change = UserContextUpdateBodyKnowledge.from_dict({"location": {"city": "Bergen"}})
    changed = user_context_update.sync(id, client=admin, body=UserContextUpdateBody(knowledge=change))
    assert changed is not None and not isinstance(changed, Error)
    context = user_context_get.sync(id, client=admin)
    assert context is not None and not isinstance(context, Error)

print(
    json.dumps(
        {
            "chat": chat.agent_response.content,
            "answered_at": type(chat.created_at).__name__,
            "refused": code_of(refused),
            "unknown": code_of(unknown),
            "created": created.status,
            "listed": any(agent.id == id for agent in agents.agents),
            "total": agents.pagination.total == len(agents.agents),
            "read": read.parsed.description,
            "updated": updated.status,
            "late": [late.status_code, code_of(late.parsed)],
            "again": again.description,
            "deleted": deleted.status,
            "added": added.fields_added,
            "changed": changed.fields_updated,
            "context": context.knowledge.to_dict(),
        }
    )
)
