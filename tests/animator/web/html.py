"""Pages as tests read them: elements with their attributes and texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "hr", "source", "col"}


@dataclass
class Element:
    """An element of a page."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    children: list[Element] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text within it, with single spaces."""
        return " ".join("".join(self.words).split())

    def all(self, tag: str = "", **attributes: str) -> list[Element]:
        """The elements within it, in their order."""
        found = []
        for child in self.children:
            same = all(child.attributes.get(name) == value for name, value in attributes.items())
            if tag in ("", child.tag) and same:
                found.append(child)
            found += child.all(tag, **attributes)
        return found

    def one(self, tag: str = "", **attributes: str) -> Element:
        """The only such element within it."""
        (found,) = self.all(tag, **attributes)
        return found

    def fields(self) -> dict[str, str]:
        """What a form is sent with, as a browser without script fills it in."""
        found = {}
        for item in self.all():
            name, kind = item.attributes.get("name"), item.attributes.get("type", "text")
            if name is None or kind == "file" or item.tag in ("button", "meta"):
                continue
            if item.tag == "select":
                chosen = [one for one in item.all("option") if "selected" in one.attributes]
                found[name] = chosen[0].attributes["value"]
            elif kind not in ("radio", "checkbox") or "checked" in item.attributes:
                found[name] = item.attributes.get("value", "")
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.place = Element("", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self.place)
        self.place.children.append(element)
        if tag not in VOID:
            self.place = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.place.children.append(Element(tag, {n: v or "" for n, v in attrs}, self.place))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.place.tag, f"</{tag}> within <{self.place.tag}>"
        assert self.place.parent is not None
        self.place = self.place.parent

    def handle_data(self, data: str) -> None:
        place: Element | None = self.place
        while place is not None:
            place.words.append(data)
            place = place.parent


def read_page(text: str) -> Element:
    """A page; every element that has to be closed is, in the right order."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.place is reader.root, f"<{reader.place.tag}> is not closed"
    return reader.root
