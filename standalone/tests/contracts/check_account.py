"""What an account that can only read may not do; the broker must refuse each with 403.

    python check_account.py AMQP_URL
"""

import sys

import pika


def publish(exchange, routing_key):
    def attempt(channel):
        channel.confirm_delivery()
        channel.basic_publish(exchange, routing_key, b"{}")

    return attempt


ATTEMPTS = {
    "publish an event of a user": publish("users", "user.created"),
    "publish the end of a session": publish("sessions", "session.revoked"),
    "publish to the replicas": publish("auth.tokens", "token.records"),
    "ask for the log": publish("", "user_service.sync.v2"),
    "read the questions": lambda channel: channel.basic_get("user_service.sync.v2"),
    "read what replicas say": lambda channel: channel.queue_bind(
        channel.queue_declare("example.spy", exclusive=True).method.queue, "auth.tokens", "#"),
    "make a queue of another name": lambda channel: channel.queue_declare("other", exclusive=True),
    "empty the queue of questions": lambda channel: channel.queue_purge("user_service.sync.v2"),
    "delete an exchange": lambda channel: channel.exchange_delete("users"),
}

connection = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))
for what, attempt in ATTEMPTS.items():
    try:
        attempt(connection.channel())
    except pika.exceptions.ChannelClosedByBroker as refused:
        assert refused.reply_code == 403, f"{what}: {refused}"
    else:
        raise SystemExit(f"it could {what}")
print(f"{len(ATTEMPTS)} refused")
