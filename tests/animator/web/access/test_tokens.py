from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.web.access import tokens
from animator.web.access.tokens import PREFIX, Tokens, add_token, read_tokens


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is looked at each time."""
    monkeypatch.setattr(tokens, "_LOOK_SECONDS", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "tokens"


def test_only_a_hash_of_a_token_is_kept_and_for_its_owner_alone(path: Path) -> None:
    token = add_token(path, "studio")
    assert token.startswith(PREFIX) and len(token) > 40
    assert token not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_lets_its_owner_in_and_no_other_does(path: Path) -> None:
    token = add_token(path, "studio")
    known = Tokens(path)
    caller = known.caller_of(token, "10.0.0.1")
    assert caller is not None and caller.name == "studio" and caller.address == "10.0.0.1"
    for wrong in ("", token[:-1], token + "x", token.upper(), "x" * 10**6, "\udcff", "é"):
        assert known.caller_of(wrong, "") is None


def test_one_owner_sees_all_and_of_several_only_those_that_may(path: Path) -> None:
    first = add_token(path, "a")
    second = add_token(path, "a")
    known = Tokens(path)
    assert all(caller and caller.sees_all for caller in (known.caller_of(first, ""),))
    other, boss = add_token(path, "b"), add_token(path, "boss", sees_all=True)
    callers = [known.caller_of(token, "") for token in (first, second, other, boss)]
    assert [caller.sees_all for caller in callers if caller] == [False, False, False, True]
    assert callers[0] is not None and callers[0].may_see("a") and not callers[0].may_see("b")


def test_a_token_that_is_taken_out_lets_nobody_in(path: Path) -> None:
    add_token(path, "a")
    gone = add_token(path, "b")
    known = Tokens(path)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert known.caller_of(gone, "") is None
    path.write_text("nonsense\n")
    assert known.caller_of(gone, "") is None
    path.unlink()
    assert known.caller_of(gone, "") is None


def test_comments_and_empty_lines_are_no_tokens(path: Path) -> None:
    add_token(path, "a")
    path.write_text("# who may\n\n" + path.read_text())
    assert [one.name for one in read_tokens(path)] == ["a"]


@pytest.mark.parametrize("name", ["", "a b", "../x", "-a", "a" * 65, "é", "a\n"])
def test_names_are_plain(path: Path, name: str) -> None:
    with pytest.raises(AnimatorError) as caught:
        add_token(path, name)
    assert caught.value.code == "invalid_option" and not path.exists()


@pytest.mark.parametrize("line", ["a", "a sha256:12", "a sha1:" + 64 * "0", "a plain-token"])
def test_a_line_that_is_none_is_told_by_its_number(path: Path, line: str) -> None:
    add_token(path, "a")
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(AnimatorError, match="Line 2") as caught:
        Tokens(path)
    assert caught.value.code == "invalid_option"


def test_a_file_without_a_token_or_that_others_may_write_is_refused(path: Path) -> None:
    add_token(path, "a")
    path.chmod(0o662)
    with pytest.raises(AnimatorError, match="Others may write") as caught:
        Tokens(path)
    assert caught.value.code == "invalid_option"
    path.chmod(0o600)
    path.write_text("# nobody\n")
    with pytest.raises(AnimatorError, match="has no token"):
        Tokens(path)
    os.unlink(path)
    with pytest.raises(AnimatorError) as caught:
        Tokens(path)
    assert caught.value.code == "unreadable_file"
