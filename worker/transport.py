"""The transport of messages: kombu's for Redis, which drops what it cannot read.

A message is only a hint that a job waits. One that is no message at all (another program wrote into
the list, a hand slipped, bytes were lost) is dropped with a line in the log, and one that cannot be
acknowledged because its connection is gone is left: whom it was about is on record. kombu raises in
both cases, from places where Celery expects nothing, and the worker would end. It also checks whose
server is behind the socket of an embedded one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from redis import RedisError

from animator.broker.private_socket import MARK, OwnerChecked

logger = logging.getLogger(__name__)

MAX_BODY = 64 * 1024
"""Characters of a message's body; an id of a job and what Celery adds are some hundred."""
SHOWN = 200
"""Characters of an error about a message that the log gets."""


class Message(virtual.Message):
    """A message; one without the parts that kombu and Celery rely on is refused.

    Args:
        payload: what was decoded from JSON.
        channel: that it came from.

    Raises:
        ValueError: if it lacks a part, or is too large.
    """

    def __init__(self, payload: Any, channel: Any = None, **options: Any) -> None:
        if not isinstance(payload, Mapping):
            raise ValueError("it is no JSON object")
        properties, headers = payload.get("properties"), payload.get("headers")
        if not (isinstance(properties, Mapping) and isinstance(headers, Mapping)):
            raise ValueError("it has no properties or no headers")
        delivery = properties.get("delivery_info")
        names = (properties.get("delivery_tag"), payload.get("content-type"))
        if not (isinstance(delivery, Mapping) and all(isinstance(name, str) for name in names)):
            raise ValueError("it does not say what it is or how it came")
        if not all(isinstance(delivery.get(name), str) for name in ("exchange", "routing_key")):
            raise ValueError("it does not say by which queue it came")
        body = payload.get("body")
        if not isinstance(body, str) or len(body) > MAX_BODY:
            raise ValueError("it has no body, or one that is too large")
        super().__init__(payload, channel, **options)


class QoS(kombu_redis.QoS):
    """What is delivered and not acknowledged; a lost connection is no error here."""

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message, or leave it: after a lost connection it is delivered again."""
        try:
            super().ack(delivery_tag)
        except Exception as error:  # noqa: BLE001 - a closed channel raises AttributeError
            self._leave(delivery_tag, error)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Refuse a message, or leave it, likewise."""
        try:
            super().reject(delivery_tag, requeue)
        except Exception as error:  # noqa: BLE001 - likewise
            self._leave(delivery_tag, error)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Give messages back when the channel is closed, if Redis is there."""
        try:
            super().restore_unacked_once(stderr)
        except Exception as error:  # noqa: BLE001 - likewise
            logger.info("messages are not given back: %s", _short(error))

    def _leave(self, delivery_tag: str, error: Exception) -> None:
        # It counts no more, or the channel would wait for it before it takes another.
        virtual.QoS.ack(self, delivery_tag)
        logger.info("a message is not acknowledged: %s", _short(error))


class Channel(kombu_redis.Channel):
    """A channel that goes on after a message that nobody can read.

    Its connections are checked if the broker's address asks for it.
    """

    QoS = QoS
    Message = Message

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        params: dict[str, Any] = super()._connparams(asynchronous)
        if params.pop(MARK, None):
            # Kombu's own class, which tells the channel of connections that broke, comes second.
            kind = params["connection_class"]
            params["connection_class"] = type("Connection", (OwnerChecked, kind), {})
        return params

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, *args: Any, **options: Any):  # type: ignore[no-untyped-def]
        """Consume from a queue."""

        def guarded(message: Message) -> Any:
            try:
                return callback(message)
            except (RedisError, OSError):
                raise
            except Exception as error:
                # It has been counted as delivered by now.
                logger.exception("a message that cannot be handled is dropped: %s", _short(error))
                if not no_ack and not message.acknowledged:
                    message.ack()

        return super().basic_consume(queue, no_ack, guarded, *args, **options)

    def _brpop_read(self, **options: Any) -> Any:
        return _unless_unreadable(super()._brpop_read, **options)

    def _receive(self) -> Any:
        return _unless_unreadable(super()._receive)


class Transport(kombu_redis.Transport):
    """The transport that `worker.celery` names for `redis` and its kin."""

    Channel = Channel


def _unless_unreadable(read: Callable[..., Any], **options: Any) -> Any:
    """What `read` answers; true if what it read is dropped."""
    try:
        return read(**options)
    except (kombu_redis.Empty, RedisError, OSError):
        raise  # nothing was read, or the connection is lost, which is the consumer's to mend
    except Exception as error:  # noqa: BLE001 - decoding raises whatever JSON and Unicode raise
        logger.error("a message that cannot be read is dropped: %s", _short(error))
        return True


def _short(error: Exception) -> str:
    # Of what is no text, an error shows all.
    return f"{type(error).__name__}: {error}"[:SHOWN]
