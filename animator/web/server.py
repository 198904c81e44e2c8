"""The server: its socket, its worker, its sweeping, from its start to its end."""

from __future__ import annotations

import ipaddress
import resource
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from animator.errors import AnimatorError
from animator.jobs.client import Client
from animator.jobs.supervision import WorkerKeeper
from animator.settings import Settings
from animator.web.access.guard import MOST_HEAD, Guard
from animator.web.access.protocol import BoundedProtocol
from animator.web.access.sessions import Sessions
from animator.web.access.tokens import Tokens
from animator.web.api.events import EventHub
from animator.web.app import make_app
from animator.web.context import ServerContext
from animator.web.files.folder import ResultFolder
from animator.web.files.uploads import UploadStore
from animator.web.settings import ServerSettings
from animator.web.upkeep import start_upkeep

END_SECONDS = 3
"""How long answers that are being sent may take when the server ends."""
_BACKLOG = 512


def serve(
    settings: Settings, server: ServerSettings, announce: Callable[[str], None] = print
) -> None:
    """Serve the page and the API until a signal ends it.

    Args:
        settings: of the process.
        server: of the server.
        announce: told the address once it answers there.

    Raises:
        AnimatorError: `invalid_option` if the address is open to others and there are no tokens, or
            if it is taken; `queue_unavailable`; as `Tokens`.
    """
    require_tokens(server)
    _allow_many_files()
    with _listen(server) as listener:
        context = make_context(settings, server)
        address = _address(server, listener.getsockname()[1])
        keeper = WorkerKeeper(context.client.store, context.client.queue) if server.worker else None
        config = uvicorn.Config(
            make_app(context),
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            root_path=server.root_path,
            log_config=None,
            access_log=False,
            server_header=False,
            h11_max_incomplete_event_size=MOST_HEAD,
            timeout_graceful_shutdown=END_SECONDS,
        )
        try:
            context.events.start()
            if keeper is not None:
                keeper.start()
            start_upkeep(context)
            _Server(config, context, lambda: announce(address)).run(sockets=[listener])
        finally:
            if keeper is not None:
                keeper.stop()


def make_context(settings: Settings, server: ServerSettings) -> ServerContext:
    """All that a server works with.

    Raises:
        AnimatorError: `queue_unavailable`; as `Tokens`.
    """
    tokens = Tokens(server.token_file) if server.token_file else None
    client = Client.connect(settings)
    return ServerContext(
        settings=settings,
        server=server,
        client=client,
        uploads=UploadStore(settings, server),
        results=ResultFolder(server.folder),
        events=EventHub(client.store, server.streams),
        guard=Guard(server, Sessions(client.store.client, server.folder), tokens),
    )


def require_tokens(server: ServerSettings) -> None:
    """Refuse to let others than this machine in without a token.

    Raises:
        AnimatorError: `invalid_option`.
    """
    if server.token_file is None and not _is_loopback(server.host):
        message = (
            f"{server.host!r} is open to other machines, so tokens are needed: make one with "
            "`animator token NAME --token-file FILE`, and start with --token-file FILE."
        )
        raise AnimatorError("invalid_option", message)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(server: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once (TCP_NODELAY); else each waits
    # 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((server.host, server.port))
        listener.listen(_BACKLOG)
        return listener
    except OSError as error:
        listener.close()
        message = (
            f"{server.host} port {server.port} cannot be listened on ({error.strerror}); choose "
            "another with --host and --port."
        )
        raise AnimatorError("invalid_option", message) from error


def _address(server: ServerSettings, port: int) -> str:
    name = f"[{server.host}]" if ":" in server.host else server.host
    return f"http://{name}:{port}{server.root_path}/"


def _allow_many_files() -> None:
    """Let every connection and upload have a file; the usual limit is for programs with few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Server(uvicorn.Server):
    """The HTTP server, which says when it answers and lets event streams end with it."""

    def __init__(
        self, config: uvicorn.Config, context: ServerContext, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._context, self._ready = context, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what would never end by itself, and then the rest."""
        self._context.events.close()
        await super().shutdown(sockets)
