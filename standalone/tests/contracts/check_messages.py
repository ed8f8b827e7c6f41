"""Takes messages from the exchanges of events until every kind has come, and compares each with docs/asyncapi.yaml.

    python check_messages.py AMQP_URL DOCUMENT

prints READY when its queue is bound, and then how many messages of each kind fitted.
"""

import collections
import json
import re
import sys

import jsonschema
import pika
import yaml

url, path = sys.argv[1:]
with open(path) as file:
    document = yaml.safe_load(file)


def resolved(value):
    """The value without references: the document has no cycles."""
    if isinstance(value, list):
        return [resolved(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        target = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return resolved(target)
    return {key: resolved(one) for key, one in value.items()}


def channel_of(routing_key):
    """The channel with this address, and its only message."""
    for name, channel in resolved(document["channels"]).items():
        pattern = re.escape(channel["address"])
        for parameter, values in channel.get("parameters", {}).items():
            alternatives = "|".join(values["enum"])
            pattern = pattern.replace(re.escape("{" + parameter + "}"), f"({alternatives})")
        if re.fullmatch(pattern, routing_key):
            [message] = channel["messages"].values()
            return message, channel["bindings"]["amqp"]["exchange"]
    raise SystemExit(f"no channel has the address {routing_key}")


wanted = {"user.created", "user.updated", "user.sessions_ended", "user.role_changed", "user.deleted", "log.head", "session.revoked"}
counts = collections.Counter()
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
queue = channel.queue_declare("", exclusive=True).method.queue
for exchange in ("users", "sessions"):
    channel.exchange_declare(exchange, "topic", durable=True)
    channel.queue_bind(queue, exchange, "#")
print("READY", flush=True)
for method, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=30):
    if method is None:
        raise SystemExit(f"only these came: {dict(counts)}")
    message, exchange = channel_of(method.routing_key)
    assert exchange["name"] == method.exchange, method
    assert properties.content_type == message["contentType"], properties
    jsonschema.validate(properties.headers, message["headers"])
    jsonschema.validate(json.loads(body), message["payload"])
    counts[method.routing_key] += 1
    if wanted <= set(counts):
        break
print(json.dumps(counts))
