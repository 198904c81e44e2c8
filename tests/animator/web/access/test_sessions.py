from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from animator.jobs.store import JobStore
from animator.web.access.sessions import Sessions, new_session


def test_a_session_lives_until_it_is_closed_also_for_another_server(
    store: JobStore, tmp_path: Path
) -> None:
    sessions = Sessions(store.client, tmp_path)
    session = sessions.open("studio", "abc")
    again = Sessions(store.client, tmp_path)
    assert again.find(session) == ("studio", "abc")
    again.close(session)
    assert sessions.find(session) is None and sessions.find("made up") is None


def test_redis_does_not_hold_what_could_be_used(store: JobStore, tmp_path: Path) -> None:
    session = Sessions(store.client, tmp_path).open("studio", "abc")
    keys = [key.decode() for key in store.client.scan_iter("*")]
    assert len(keys) == 1 and session not in keys[0]
    assert 0 < store.client.ttl(keys[0]) <= 7 * 24 * 3600


def test_damaged_sessions_are_none(store: JobStore, tmp_path: Path) -> None:
    sessions = Sessions(store.client, tmp_path)
    session = sessions.open("studio", "abc")
    (key,) = store.client.scan_iter("*")
    for value in ("", "[]", "{}", "[1", '["a","b","c"]', b"\xff"):
        store.client.set(key, value)
        assert sessions.find(session) is None


def test_what_forms_carry_belongs_to_one_session(store: JobStore, tmp_path: Path) -> None:
    sessions = Sessions(store.client, tmp_path)
    mine, other = new_session(), new_session()
    assert sessions.is_csrf(mine, sessions.csrf(mine))
    for wrong in (sessions.csrf(other), "", "é", sessions.csrf(mine)[:-1]):
        assert not sessions.is_csrf(mine, wrong)
    elsewhere = Sessions(store.client, tmp_path / "other")
    assert elsewhere.csrf(mine) != sessions.csrf(mine)


def test_servers_that_begin_at_once_agree_on_the_secret(store: JobStore, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Sessions(store.client, tmp_path / "s"), range(8)))
    assert len({one.csrf("x") for one in made}) == 1
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["secret"]
    assert stat.S_IMODE((tmp_path / "s" / "secret").stat().st_mode) == 0o600
