"""Which URLs are allowed, and which names stay in their folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.files.urls import check_name, check_url
from animator.settings import Settings


@pytest.fixture
def allowing(tmp_path: Path) -> Settings:
    return Settings(
        tmp_path,
        allowed_urls=("s3://bucket/in", "https://media.example/public/", "memory://x"),
        storage="gs://shared/state",
    )


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/in",
        "s3://bucket/in/a.png",
        "s3://bucket/in/a b/ü.png",
        "s3://bucket/in/a?b#c.png",
        "s3://bucket/in/...png",
        "s3://bucket/in/100%25.png",
        "https://media.example/public/v.mp4?signature=a/../b",
        "https://media.example/public/v;v=2.mp4",
        "https://media.example/public/a%20b/100%25/%C3%BC.mp4",
        "https://media.example/public/..a/b../...",
        "https://media.example/public/caf%E9.mp4",
        "memory://x/anything/at/all",
        "gs://shared/state/landmarks/1",
    ],
)
def test_what_is_under_an_allowed_url_is_allowed(url: str, allowing: Settings) -> None:
    check_url(url, allowing)


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3://bucket/",
        "s3://bucket/input/a.png",
        "s3://bucket/in-secret/a.png",
        "s3://bucket2/in/a.png",
        "s3a://bucket/in/a.png",
        "s3://bucket/in/../secret",
        "s3://bucket/in/a/../../secret",
        "s3://bucket/in/./a",
        "s3://bucket/in/%2e%2e/secret",
        "s3://bucket/in/%2E./secret",
        "s3://bucket/in/..%2fsecret",
        "s3://bucket/in/%252e%252e/secret",
        "s3://bucket/in/..\\secret",
        "s3://bucket/in/a?/../../secret",
        "s3://bucket/in/a#/../../secret",
        "s3://bucket/in//a.png",
        "s3://user@bucket/in/a.png",
        "s3://bucket:80/in/a.png",
        "s3://bucket/in/a.zip::https://inside.example/",
        "simplecache::s3://bucket/in/a.png",
        "https://media.example/secret/v.mp4",
        "https://media.example/public/../secret",
        "https://media.example/public/%2e%2e/secret",
        "https://media.example/publi%63/../v.mp4",
        "https://media.example/public/..;/secret",
        "https://media.example/public/..;jsessionid=1/secret",
        "https://media.example/public/.;/secret",
        "https://media.example/public/..%3b/secret",
        "https://media.example/public/%2e%2e%3B/secret",
        "https://media.example/public/..%00/secret",
        "https://media.example/public/..%00",
        "https://media.example/public/v.mp4%00.png",
        "https://media.example/public/..%5csecret",
        "https://media.example/public/%2e%2e%5csecret",
        "https://media.example/public/..%255csecret",
        "https://media.example/public/..%20/secret",
        "https://media.example/public/..%09/secret",
        "https://media.example/public/..%0d%0a/secret",
        "https://media.example/public/a%0ab",
        "https://media.example/public/a%7fb",
        "https://media.example/public/%2525252525252e%2525252525252e/secret",
        "https://media.example/public/%c0%ae%c0%ae/secret",
        "https://media.example/public/..%c0%afsecret",
        "https://media.example/public/%e0%80%ae./secret",
        "https://media.example/public/%u002e%u002e/secret",
        "https://media.example/public/%ef%bc%8e%ef%bc%8e/secret",
        "https://media.example/public/．．/secret",
        "s3://bucket/in/..;/secret",
        "s3://bucket/in/..%00/secret",
        "http://media.example/public/v.mp4",
        "https://media.example:8443/public/v.mp4",
        "https://media.example:nonsense/public/v.mp4",
        "https://media.example@evil.example/public/v.mp4",
        "https://evil.example\\@media.example/public/v.mp4",
        "https://media.example\\.evil.example/public/v.mp4",
        "https://media.example.evil.example/public/v.mp4",
        "https:///public/v.mp4",
        "https://media.example/public/\tv.mp4",
        "https://media.example/public/v\n.mp4",
        "file:///etc/passwd",
        "/etc/passwd",
        "memory:///x",
        "",
    ],
)
def test_everything_else_is_refused(url: str, allowing: Settings) -> None:
    with pytest.raises(AnimatorError) as caught:
        check_url(url, allowing)
    assert caught.value.code == "url_refused"


def test_nothing_is_allowed_where_nothing_is_set(tmp_path: Path) -> None:
    for settings in (Settings(tmp_path), Settings(tmp_path, storage=str(tmp_path))):
        with pytest.raises(AnimatorError, match="none"):
            check_url("s3://bucket/a", settings)


def test_a_bucket_may_be_allowed_as_a_whole(allowing: Settings) -> None:
    for prefix in ("s3://bucket", "s3://bucket/"):
        settings = replace(allowing, allowed_urls=(prefix,))
        check_url("s3://bucket/secret", settings)
        with pytest.raises(AnimatorError):
            check_url("s3://bucket-2/secret", settings)


@pytest.mark.parametrize("name", ["a", "a/b.c", "...", "a b", "ü/%25", ".hidden", "a?b", "a::b"])
def test_names_in_a_folder(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "/etc/passwd", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\0b"),
        *("a\\..\\b", "%2e%2e", "a/%2E%2e/b", "..%2fa", "%252e%252e/a", "s3://bucket/a"),
    ],
)
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(AnimatorError) as caught:
        check_name(name)
    assert caught.value.code == "invalid_option"
