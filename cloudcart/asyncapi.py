"""The events of the shop as an AsyncAPI 3.0 document, made from their models; ``docs/asyncapi.json`` is its copy.

``python -m cloudcart.asyncapi > docs/asyncapi.json`` writes it again; a test compares the two. Not here: the events
themselves (``cloudcart.events``).
"""

from __future__ import annotations

import json
from typing import Any, Final

from cloudcart.events import EVENTS, Event

_DESCRIPTION: Final = (
    "What has happened in the shop, as JSON on Kafka. A message's key is its aggregate's id, so that events of one "
    "aggregate keep their order. Delivery is at least once: event_id tells a repeat. A message that the notification "
    "worker cannot read goes to the topic with '.dlq' behind its name."
)
_REFERENCE: Final = "#/components/schemas/{model}"
_HEADERS: Final = {
    "content-type": {"const": "application/json"},
    "correlation_id": {"type": "string", "description": "new for each message; no service reads it"},
}
_DEAD_LETTER: Final = {
    "name": "dead letter",
    "title": "DeadLetter",
    "summary": "A message that the notification worker could not read, byte by byte as it was, under the same key.",
    "contentType": "application/octet-stream",
    "headers": {"$ref": _REFERENCE.format(model="DeadLetterHeaders")},
    "payload": {"description": "the original bytes, whatever they are; mostly no event, or it would have been read"},
    "bindings": {"kafka": {"key": {"type": "string", "description": "the original key; none if there was none"}}},
}


def asyncapi_document() -> dict[str, Any]:
    """Return the document (AsyncAPI 3.0.0)."""
    schemas = {
        "Headers": _headers_schema(_HEADERS),
        "DeadLetterHeaders": _headers_schema(
            _HEADERS
            | {
                "content-type": {"const": "application/octet-stream"},
                "error": {"type": "string", "maxLength": 500, "description": "why it could not be read, in ASCII"},
                "topic": {"enum": [*EVENTS], "description": "where it was"},
                "partition": {"type": "string", "pattern": "^[0-9]+$", "description": "of that topic"},
                "offset": {"type": "string", "pattern": "^[0-9]+$", "description": "in that partition"},
            }
        ),
    }
    messages = {model.__name__: _message(model, schemas) for model in EVENTS.values()}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "CloudCart events", "version": "1", "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {
            **{topic: _channel(topic, _summary(model), model.__name__) for topic, model in EVENTS.items()},
            **{
                f"{topic}.dlq": _channel(f"{topic}.dlq", f"What could not be read on {topic}.", "DeadLetter")
                for topic in EVENTS
            },
        },
        "operations": {
            **{f"publish {topic}": _operation(topic, model.__name__) for topic, model in EVENTS.items()},
            **{f"set aside {topic}": _operation(f"{topic}.dlq", "DeadLetter") for topic in EVENTS},
        },
        "components": {"messages": messages | {"DeadLetter": _DEAD_LETTER}, "schemas": dict(sorted(schemas.items()))},
    }


def _channel(topic: str, summary: str, message: str) -> dict[str, Any]:
    return {
        "address": topic,
        "summary": summary,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {"kafka": {"topic": topic, "bindingVersion": "0.5.0"}},
    }


def _operation(topic: str, message: str) -> dict[str, Any]:
    channel = f"#/channels/{topic}"
    return {
        "action": "send",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{message}"}],
    }


def _headers_schema(headers: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a message's headers, all of which are there, and no others."""
    return {"type": "object", "properties": headers, "required": [*headers], "additionalProperties": False}


def _message(model: type[Event], schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the message of an event; what its schema refers to is added to ``schemas``."""
    schema = model.model_json_schema(ref_template=_REFERENCE, mode="serialization")
    schemas.update(schema.pop("$defs", {}))
    schema["properties"]["event_type"] = {"const": model.topic}
    schema["required"] = sorted({*schema["required"], *Event.model_fields})
    schemas[model.__name__] = schema
    return {
        "name": model.topic,
        "title": model.__name__,
        "summary": _summary(model),
        "headers": {"$ref": _REFERENCE.format(model="Headers")},
        "payload": {"$ref": _REFERENCE.format(model=model.__name__)},
        "bindings": {"kafka": {"key": {"type": "string", "description": f"the {model.key_field}"}}},
    }


def _summary(model: type[Event]) -> str:
    return (model.__doc__ or "").partition("\n")[0]


if __name__ == "__main__":
    print(json.dumps(asyncapi_document(), indent=2))  # noqa: T201
