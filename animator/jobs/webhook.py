"""Rules for webhooks: where they may go, and how a message is signed.

A webhook is an address that a submitter chooses and that a worker then connects to. So that nobody
makes a worker talk to what only the worker can reach, hosts have to be listed
(`ANIMATOR_WEBHOOK_HOSTS`), and a host that is not listed by its own name has to be on a public
address. `docs/webhooks.md` shows how a receiver checks the signature.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from animator.errors import AnimatorError

DELIVERY_HEADER = "Animator-Delivery"
"""Names the event; the same in every try, so that a receiver can drop what it had already."""
TIMESTAMP_HEADER = "Animator-Timestamp"
"""Unix time of the try, in seconds."""
SIGNATURE_HEADER = "Animator-Signature"
"""`v1=` and the HMAC-SHA256, in hexadecimal, of the timestamp, a dot and the body."""

_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")
"""All that is given to somebody for use everywhere; the rest is local, reserved, or translates."""
_NOT_FOR_ALL = (IPv6Network("2001::/23"), IPv6Network("3fff::/20"), IPv6Network("5f00::/16"))
"""Of protocols, Teredo's tunnels among them, and of documents."""
_NOT_FOR_ALL_4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
"""Of protocols, and of relays to IPv6."""
_TUNNEL = 0x5EFE
"""What is before the IPv4 address in the lower half of an IPv6 address of ISATAP."""


def host_of(url: str) -> str:
    """The host that an address names, in small letters.

    Raises:
        AnimatorError: `webhook_refused` if it names none that can be compared with the list.
    """
    try:
        parts = urlsplit(url)
        # The port is only asked for because that raises for nonsense.
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not host.isascii():
        raise AnimatorError(
            "webhook_refused", "The webhook's address has no host, or one not written in ASCII."
        )
    # `example.com.` is the same host.
    return host.rstrip(".")


def check_host(url: str, hosts: Sequence[str]) -> None:
    """Refuse a webhook whose host is not listed.

    Args:
        url: where the webhook is to go.
        hosts: names and addresses; `*.example.com` is every name below it, `*` every public host.

    Raises:
        AnimatorError: `webhook_refused`.
    """
    host = host_of(url)
    if not any(_matches(host, entry) for entry in hosts):
        allowed = ", ".join(hosts) or "none; the setting lists those that are"
        raise AnimatorError(
            "webhook_refused",
            f"Webhooks may not go to {host!r}; allowed (ANIMATOR_WEBHOOK_HOSTS) is {allowed}.",
        )


def check_address(host: str, address: str, hosts: Sequence[str]) -> None:
    """Refuse an address in a private network, unless the host is listed by its own name.

    Raises:
        AnimatorError: `webhook_refused`.
    """
    # An IPv6 address may carry the zone of its network interface after a %.
    if host not in hosts and not _is_public(ip_address(address.partition("%")[0])):
        raise AnimatorError(
            "webhook_refused",
            f"{host!r} is at {address}, which is not a public address; only a host that "
            "ANIMATOR_WEBHOOK_HOSTS lists by its own name may be there.",
        )


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The value of the signature's header."""
    digest = hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


def _matches(host: str, entry: str) -> bool:
    if entry.startswith("*."):
        return host.endswith(entry[1:])
    return entry in ("*", host)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether everybody can reach it, also where one address is wrapped in another."""
    if isinstance(address, IPv4Address):
        known = any(address in network for network in _NOT_FOR_ALL_4)
        return address.is_global and not address.is_multicast and not known
    # IPv4 addresses in IPv6: mapped, 6to4, and in the last 32 bits NAT64 and ISATAP.
    last = IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64:
        return _is_public(last)
    inner = address.ipv4_mapped or address.sixtofour
    if inner is not None:
        return _is_public(inner)
    if int(address) >> 32 & 0xFDFFFFFF == _TUNNEL and not _is_public(last):
        return False
    wide = address in _UNICAST and not any(address in network for network in _NOT_FOR_ALL)
    return wide and address.is_global
