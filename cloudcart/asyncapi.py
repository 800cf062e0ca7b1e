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


def asyncapi_document() -> dict[str, Any]:
    """Return the document (AsyncAPI 3.0.0)."""
    schemas: dict[str, Any] = {}
    messages = {model.__name__: _message(model, schemas) for model in EVENTS.values()}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "CloudCart events", "version": "1", "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {topic: _channel(topic, model) for topic, model in EVENTS.items()},
        "operations": {f"publish {topic}": _operation(topic, model) for topic, model in EVENTS.items()},
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items()))},
    }


def _channel(topic: str, model: type[Event]) -> dict[str, Any]:
    message = {"$ref": f"#/components/messages/{model.__name__}"}
    return {
        "address": topic,
        "summary": _summary(model),
        "messages": {model.__name__: message},
        "bindings": {"kafka": {"topic": topic, "bindingVersion": "0.5.0"}},
    }


def _operation(topic: str, model: type[Event]) -> dict[str, Any]:
    channel = f"#/channels/{topic}"
    return {
        "action": "send",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{model.__name__}"}],
    }


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
        "payload": {"$ref": _REFERENCE.format(model=model.__name__)},
        "bindings": {"kafka": {"key": {"type": "string", "description": f"the {model.key_field}"}}},
    }


def _summary(model: type[Event]) -> str:
    return (model.__doc__ or "").partition("\n")[0]


if __name__ == "__main__":
    print(json.dumps(asyncapi_document(), indent=2))  # noqa: T201
