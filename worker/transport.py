"""Kombu's Redis transport, which checks whose server is behind the socket of an embedded one."""

from __future__ import annotations

from typing import Any

from kombu.transport import redis

from animator.broker.private_socket import MARK, OwnerChecked


class Channel(redis.Channel):
    """A channel whose connections are checked if the broker's address asks for it."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        params: dict[str, Any] = super()._connparams(asynchronous)
        if params.pop(MARK, None):
            # Kombu's own class, which tells the channel of connections that broke, comes second.
            kind = params["connection_class"]
            params["connection_class"] = type("Connection", (OwnerChecked, kind), {})
        return params


class Transport(redis.Transport):
    """The transport that `worker.celery` names for `redis` and its kin."""

    Channel = Channel
