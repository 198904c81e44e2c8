"""Idempotency keys in Redis."""

from __future__ import annotations

import pytest

from animator.errors import AnimatorError
from animator.jobs.store import JobStore
from animator.values import check_key
from animator.web.api.idempotency import KEEP_SECONDS, IdempotencyKey, own_key


def key(store: JobStore, owner: str = "ann", text: str = "k", size: int = 1) -> IdempotencyKey:
    return IdempotencyKey(store, owner, text, {"size": size})


def refused(key: IdempotencyKey) -> bool:
    try:
        with key.used():
            return False
    except AnimatorError as error:
        assert error.code == "idempotency_mismatch"
        return True


def test_a_key_stands_for_one_request(store: JobStore) -> None:
    assert not refused(key(store))
    assert not refused(key(store))
    assert refused(key(store, size=2))
    assert not refused(key(store, owner="bob", size=2))
    assert not refused(key(store, text="l", size=2))
    made = {
        key(store, owner, text, size).job_key for owner in "ab" for text in "kl" for size in (1, 2)
    }
    assert len(made) == 8
    for one in made:
        check_key(one)
    (name, *_) = store.client.keys("animator:web:idempotency:*")
    assert 0 < store.client.ttl(name) <= KEEP_SECONDS


def test_a_failed_request_frees_its_key_unless_redis_failed(store: JobStore) -> None:
    for code, free in (("no_such_upload", True), ("queue_unavailable", False)):
        store.client.flushall()
        with pytest.raises(AnimatorError), key(store).used():
            raise AnimatorError(code, "No.")
        assert refused(key(store, size=2)) is not free
    # One that others have used before stays theirs
    store.client.flushall()
    assert not refused(key(store))
    with pytest.raises(AnimatorError), key(store).used():
        raise AnimatorError("no_such_upload", "No.")
    assert refused(key(store, size=2))


def test_keys_of_owners_are_apart_and_can_be_told() -> None:
    assert own_key("", "k") == "k"
    assert own_key("ann", "k") == "ann:k"
    long = own_key("ann", "k" * 200)
    check_key(long)
    assert long.startswith("ann:") and long != own_key("ann", "k" * 199 + "l")
