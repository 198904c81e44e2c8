"""Which webhooks are allowed, and what a signature is."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.jobs.client import Client
from animator.jobs.queue import load_queue
from animator.jobs.store import JobStore
from animator.jobs.webhook import check_address, check_host, signature
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec

LISTED = ("hooks.example.com", "*.example.org", "10.0.0.7", "::1")


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/a?b=c",
        "HTTP://HOOKS.example.COM:8080",
        "https://hooks.example.com./",
        "https://a.b.example.org/",
        "http://10.0.0.7:9000/",
        "http://[::1]:9000/",
    ],
)
def test_listed_hosts(url: str) -> None:
    check_host(url, LISTED)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://hooks.example.com.evil.net/",
        "https://evil.net/hooks.example.com",
        "https://example.org/",
        "https://badexample.org/",
        "http://[::2]/",
        "http://[::1/",
        "http://hooks.example.com:port/",
        "http://hooks。example.com/",
        "http:///path",
    ],
)
def test_other_hosts_are_refused(url: str) -> None:
    with pytest.raises(AnimatorError) as caught:
        check_host(url, LISTED)
    assert caught.value.code == "webhook_refused"


def test_nothing_is_allowed_unless_listed_and_a_star_is_every_host() -> None:
    with pytest.raises(AnimatorError):
        check_host("https://example.com/", ())
    check_host("https://example.com/", ("*",))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1%eth0", "fd00::1",
        "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:4136:e378::1",
        # IPv4 in IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP.
        "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::10.0.0.1", "::8.8.8.8",
        "::ffff:0:10.0.0.1", "::ffff:0:8.8.8.8", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254",
        "64:ff9b:1::1", "64:ff9b:1:fffe::8.8.8.8", "64:ff9b::100.64.0.1", "2002:a00:1::1",
        "2002:a9fe:a9fe::", "2002:c0a8:101::1", "2001::8.8.8.8", "2001:0:808:808::1",
        "2606:2800:220:1:0:5efe:10.0.0.1", "2606:2800:220:1:200:5efe:192.168.0.1",
        # Of a site, thrown away, of documents, protocols, benchmarks, and not given to anybody.
        "fec0::1", "feff::1", "fe80::1", "febf::1", "fc00::1", "fdff::1", "100::1", "2001:db8::1",
        "3fff::1", "2001:2::1", "2001:10::1", "2001:20::1", "5f00::1", "4000::1", "1::1", "e000::1",
        "ff0e::1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1",
        "192.0.0.8", "240.0.0.1", "0.1.2.3", "172.31.255.255", "100.127.255.255", "239.1.1.1",
    ],
)  # fmt: skip
def test_private_addresses_need_the_host_to_be_listed_by_name(address: str) -> None:
    with pytest.raises(AnimatorError) as caught:
        check_address("a.example.org", address, ("*", "*.example.org"))
    assert caught.value.code == "webhook_refused"
    check_address("a.example.org", address, ("a.example.org",))


@pytest.mark.parametrize(
    "address",
    [
        "93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
        "2002:808:808::1", "2a00:1450:4001:82a::200e", "172.32.0.1", "100.128.0.1", "11.0.0.1",
        "2606:2800:220:1:0:5efe:8.8.8.8", "2001:4860:4860::8888", "2400:cb00::1",
    ],
)  # fmt: skip
def test_public_addresses(address: str) -> None:
    check_address("a.example.org", address, ("*",))


def test_the_signature_is_over_timestamp_and_body() -> None:
    expected = hmac.new(b"secret", b"1700000000.{}", hashlib.sha256).hexdigest()
    assert signature("secret", 1700000000, b"{}") == f"v1={expected}"


def test_the_setting(tmp_path: Path) -> None:
    environment = {
        "ANIMATOR_STATE_DIR": str(tmp_path),
        "ANIMATOR_WEBHOOK_HOSTS": "Hooks.example.com, *.example.org ::1 *",
        "ANIMATOR_WEBHOOK_SECRET": "not to be shown",
    }
    settings = Settings.from_environment(environment)
    assert settings.webhook_hosts == ("hooks.example.com", "*.example.org", "::1", "*")
    assert "not to be shown" not in repr(settings)
    for wrong in ("https://hooks.example.com", "a.*.com", "host/path", "host:80"):
        with pytest.raises(AnimatorError, match="ANIMATOR_WEBHOOK_HOSTS"):
            Settings(tmp_path, webhook_hosts=(wrong,))


def test_a_refused_webhook_submits_nothing(
    settings: Settings, store: JobStore, samples: tuple[Path, Path], tmp_path: Path
) -> None:
    settings = replace(settings, webhook_hosts=("hooks.example.com",))
    client = Client(settings, store, load_queue(settings, store))
    spec = JobSpec(str(samples[0]), str(samples[1]), str(tmp_path / "out.mp4"))
    with pytest.raises(AnimatorError) as caught:
        client.submit(spec, options=JobOptions(webhook="https://example.com/"))
    assert caught.value.code == "webhook_refused"
    assert store.list_jobs() == []
    client.submit(spec, options=JobOptions(webhook="https://hooks.example.com/"))
    assert len(store.list_jobs()) == 1
