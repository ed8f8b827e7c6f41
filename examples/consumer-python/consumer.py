"""Keeps a copy of all users, from the events on RabbitMQ.

    python consumer.py AMQP_URL USER_SERVICE_URL DATABASE

ends up with the users that user_service has, whatever is stopped, killed or emptied meanwhile: this
process, the broker, user_service. The broker's promises are not relied on. Each event names the one
before it, so a gap shows; then all users are read anew from GET /users. docs/events.md explains why.
"""

import hashlib
import json
import logging
import sys
import time

import pika
from cloudevents.core.bindings.amqp import AMQPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from copy_of_users import CopyOfUsers, Place
from user_service import read_all_users

log = logging.getLogger("consumer")

EXCHANGE = "users"
QUEUE = "example.users.v1"  # the version: a queue's arguments cannot be changed under its name
HEAD = "log.head"
PAUSES_S = [0.2, 0.5, 1, 2, 5]  # between attempts; then always the last
STALLED_HEADS = 3  # so many heads in a row that do not fit are no coincidence


class StartAnew(Exception):
    """What came does not continue what is stored."""


def the_events_id(message, event):
    """The id that this event has if nothing was altered: a hash that includes the id before."""
    def number(value):
        return value.to_bytes(8, "big")

    def text(value):
        return number(len(value)) + value

    at_ms = round(event.get_time().timestamp() * 1000)
    record = bytes.fromhex(event.get_extension("prevhash"))
    record += number(int(event.get_extension("sequence"))) + number(at_ms)
    record += text(event.get_type().encode()) + text(message)
    return hashlib.sha256(record).digest()[:16].hex()


class Consumer:
    def __init__(self, amqp_url, user_service_url, copy):
        self.amqp_url = amqp_url
        self.user_service_url = user_service_url
        self.copy = copy
        self.stalled = 0
        self.failed = 0

    def run(self):
        """Consumes until it is interrupted. Whatever goes wrong, it connects again."""
        while True:
            try:
                self.consume()
            except StartAnew as reason:
                log.warning("the next connection reads all users: %s", reason)
                self.copy.forget_place()
            except (pika.exceptions.AMQPError, OSError) as error:
                log.warning("trying again: %r", error)
                time.sleep(PAUSES_S[min(self.failed, len(PAUSES_S) - 1)])
                self.failed += 1

    def consume(self):
        connection = pika.BlockingConnection(pika.URLParameters(self.amqp_url))
        try:
            channel = connection.channel()
            heads = self.declare(channel)
            for method, properties, body in channel.consume(heads, auto_ack=True):
                # The queue is bound by now, so nothing after this head can be missed by both.
                self.on_head(body)
                channel.cancel()
                break
            channel.basic_qos(prefetch_count=200)
            channel.basic_consume(heads, lambda *message: self.on_head(message[3]), auto_ack=True)
            channel.basic_consume(QUEUE, self.on_event)
            self.failed = 0
            channel.start_consuming()
        finally:
            if connection.is_open:
                connection.close()

    def declare(self, channel):
        """The queue of events, which survives; and one for heads, which lives as long as the connection."""
        # Passive: it is user_service's, and a read-only account may not make it.
        channel.exchange_declare(EXCHANGE, passive=True)
        arguments = {"x-queue-type": "quorum", "x-max-length": 100_000}
        channel.queue_declare(QUEUE, durable=True, arguments=arguments)
        for routing_key in ("user.*", "log.rewound"):
            channel.queue_bind(QUEUE, EXCHANGE, routing_key)
        heads = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(heads, EXCHANGE, HEAD)
        return heads

    def on_head(self, body):
        """The end of the log, once a second: shows that the last events were lost, or that the log went back."""
        head = json.loads(body)
        at = Place(head["seq"], head["hash"])
        mine = self.copy.place()
        if mine is None:
            users = read_all_users(self.user_service_url)
            self.copy.replace(users, at)
            log.info("read %d users at %s", len(users), at)
        elif mine == at:
            self.stalled = 0
        else:
            # Events may be on their way, or come late: a head alone proves nothing.
            self.stalled += 1
            if self.stalled >= STALLED_HEADS:
                self.stalled = 0
                raise StartAnew(f"the log is at {at}, and no event leads there from {mine}")

    def on_event(self, channel, method, properties, body):
        message = AMQPMessage({"content-type": properties.content_type}, properties.headers, body)
        event = from_binary(message, JSONFormat())
        place = Place(int(event.get_extension("sequence")), event.get_id())
        if the_events_id(body, event) != place.hash:
            raise StartAnew(f"the event {place} was altered")
        mine = self.copy.place()
        if self.copy.has_seen(place) or place.seq <= self.copy.oldest_seen():
            pass  # it came before
        elif place.seq == mine.seq + 1 and event.get_extension("prevhash") == mine.hash:
            self.copy.apply(event.get_data(), place)
            self.stalled = 0
        else:
            raise StartAnew(f"{place} does not follow {mine}")
        # Only now: what was not stored comes again.
        channel.basic_ack(method.delivery_tag)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    try:
        Consumer(sys.argv[1], sys.argv[2], CopyOfUsers(sys.argv[3])).run()
    except KeyboardInterrupt:
        pass
