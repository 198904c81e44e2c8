"""Choices of moving faces: one text means one thing, and what means nothing is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from animator.errors import AnimatorError
from animator.moving_faces import MOST_FACES, MovingFaces


@pytest.mark.parametrize(
    ("given", "choice", "text"),
    [
        ("largest", MovingFaces("largest"), "largest"),
        (2, MovingFaces(2), 2),
        (" 2 ", MovingFaces(2), 2),
        ("all", MovingFaces(None, True), "all"),
        ("1=a.mp4", MovingFaces(None, False, ((1, "a.mp4"),)), "1=a.mp4"),
        (
            "2 = b=c.mp4 ; 1=s3://x/a;b.mp4;",
            MovingFaces(None, False, ((2, "b=c.mp4"), (1, "s3://x/a;b.mp4"))),
            "2=b=c.mp4;1=s3://x/a;b.mp4",
        ),
        ("3=c.mp4; all", MovingFaces(None, True, ((3, "c.mp4"),)), "all;3=c.mp4"),
    ],
)
def test_a_text_means_faces(given: object, choice: MovingFaces, text: object) -> None:
    assert MovingFaces.parse(given) == choice
    assert choice.text == text
    assert MovingFaces.parse(choice.text) == choice
    assert choice.several == (choice.one is None)


@pytest.mark.parametrize(
    "given",
    ["", ";", "largest;1=a", "0", 0, -1, True, 1.0, None, "1=", "0=a", "=a", "a=b", "1;2", "every",
     "99999999", "99999999=a", "largest;all", "²"],
)  # fmt: skip
def test_what_means_nothing_is_refused(given: object) -> None:
    with pytest.raises(AnimatorError) as caught:
        MovingFaces.parse(given, "--face")
    assert caught.value.code == "invalid_option" and "--face" in caught.value.message


def test_a_face_has_one_file() -> None:
    with pytest.raises(AnimatorError, match="face 2 twice"):
        MovingFaces.parse("2=a;1=b;2=c")
    many = ";".join(f"{number}=a" for number in range(1, MOST_FACES + 2))
    with pytest.raises(AnimatorError, match=f"at most {MOST_FACES}"):
        MovingFaces.parse(many)


def test_passwords_are_not_repeated() -> None:
    with pytest.raises(AnimatorError) as caught:
        MovingFaces.parse("x=https://me:secret@host/b.mp4")
    assert "secret" not in caught.value.message


def test_files_are_exchanged_and_the_first_stands_for_the_driving_video() -> None:
    choice = MovingFaces.parse("2=b;1=a")
    assert choice.located(lambda name: f"/x/{name}").text == "2=/x/b;1=/x/a"
    assert choice.first_file == "b"
    assert MovingFaces.parse("all;1=a").first_file is MovingFaces.parse(1).first_file is None


def test_faces_of_a_picture() -> None:
    assert MovingFaces.parse("all").numbers(3) == [1, 2, 3]
    assert MovingFaces.parse("all;2=b").numbers(3) == [1, 2, 3]
    assert MovingFaces.parse("3=c;1=a").numbers(3) == [1, 3]


@pytest.mark.parametrize(
    ("given", "there", "code", "says"),
    [
        ("1=a;3=b", 2, "face_not_found", "Face 3 was asked for, but the picture shows 2 faces."),
        ("2=b", 1, "face_not_found", "shows 1 face."),
        ("all;1=a;2=b", 2, "invalid_option", "would move none"),
        ("all", MOST_FACES + 1, "invalid_option", f"at most {MOST_FACES}"),
    ],
)
def test_faces_that_a_picture_has_not(given: str, there: int, code: str, says: str) -> None:
    with pytest.raises(AnimatorError, match=says) as caught:
        MovingFaces.parse(given).numbers(there)
    assert caught.value.code == code


def test_nothing_heavy_is_imported() -> None:
    told = (
        "import sys, animator.moving_faces; print({'numpy', 'torch', 'cv2', 'av'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
