"""Takes the events that end tokens, and acknowledges each when it is stored."""

import json
import logging
import time

import pika

log = logging.getLogger("service")

QUEUE = "example.endings.v1"  # the version: a queue's arguments cannot be changed under its name
BINDINGS = [("sessions", "session.revoked"), ("users", "user.*"), ("users", "log.rewound")]
LONGEST_TOKEN_MS = 24 * 3600 * 1000  # nobody needs an ending for longer
PAUSE_S = 1


def follow(amqp_url, endings, bound):
    """For ever; `bound` is set as soon as the queue receives all events."""
    while True:
        try:
            connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
            try:
                consume(connection.channel(), endings, bound)
            finally:
                if connection.is_open:
                    connection.close()
        except (pika.exceptions.AMQPError, OSError) as error:
            log.warning("trying again: %r", error)
            time.sleep(PAUSE_S)


def consume(channel, endings, bound):
    # While this process is away, the queue keeps the events. After a day there is no token left to refuse.
    arguments = {"x-queue-type": "quorum", "x-expires": LONGEST_TOKEN_MS, "x-message-ttl": LONGEST_TOKEN_MS}
    channel.queue_declare(QUEUE, durable=True, arguments=arguments)
    for exchange, routing_key in BINDINGS:
        # Passive: it is Lockstep's, and a read-only account may not make it.
        channel.exchange_declare(exchange, passive=True)
        channel.queue_bind(QUEUE, exchange, routing_key)
    bound.set()
    channel.basic_qos(prefetch_count=100)

    def on_event(channel, method, properties, body):
        endings.take(method.routing_key, properties.headers, json.loads(body))
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume(QUEUE, on_event)
    channel.start_consuming()
