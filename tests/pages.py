"""A page as a reader of the screen meets it: its tree, its words in order, and the rules that each page keeps."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from typing import Union
from urllib.parse import urlsplit

VOID = frozenset({"meta", "link", "br", "img", "hr", "input", "path", "circle", "rect", "line", "polyline"})
BLOCKS = frozenset(
    {"p", "li", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "summary", "caption", "figcaption", "th", "td", "pre"}
)
SILENT = frozenset({"style", "script", "head"})


@dataclass
class Node:
    """An element with its attributes and what is inside."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Union["Node", str]] = field(default_factory=list)

    @property
    def classes(self) -> set[str]:
        return set(self.attributes.get("class", "").split())

    def walk(self) -> Iterator["Node"]:
        """Yield this element and those inside it, in their order."""
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.walk()

    def all(self, *tags: str) -> list["Node"]:
        return [node for node in self.walk() if node.tag in tags]

    def find(self, id_: str) -> "Node":
        return next(node for node in self.walk() if node.attributes.get("id") == id_)

    @property
    def text(self) -> str:
        """Return the words, one space apart."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, str):
                yield child
            elif child.tag == "svg":
                yield f" ({child.attributes['aria-label']}) " if "aria-label" in child.attributes else " "
            elif child.tag not in SILENT:
                yield from child._texts()
                if child.tag in BLOCKS | {"br"}:
                    yield " "


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("root")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}> of line {self.getpos()[0]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(html: str) -> Node:
    """Return a page's tree; each element must be closed where it was opened."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> is not closed"
    return reader.root


def outline(node: Node) -> list[str]:
    """Return the words of a page in their order, a line for each block; a row of a table is one line."""
    lines: list[str] = []
    for child in node.children:
        if not isinstance(child, Node):
            lines += [" ".join(child.split())] if child.strip() else []
        elif child.tag == "tr":
            lines.append(" | ".join(cell.text for cell in child.all("th", "td")))
        elif child.tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            lines.append(f"{'#' * int(child.tag[1])} {child.text}")
        elif child.tag in BLOCKS and not any(
            inside.tag in BLOCKS | {"table"} for inside in child.walk() if inside is not child
        ):
            lines.append(f"{'- ' if child.tag == 'li' else ''}{child.text}")
        elif child.tag == "svg":
            lines += [f"({child.attributes['aria-label']})"] if "aria-label" in child.attributes else []
        elif child.tag not in SILENT:
            lines += outline(child)
    return [line for line in lines if line.strip("- ")]


def faults(page: Node) -> list[str]:
    """Return what is against the rules that every page keeps; the contrast of colours a browser tells."""
    found: list[str] = []
    [html] = page.all("html")
    if not html.attributes.get("lang"):
        found.append("html has no lang")
    if not (titles := page.all("title")) or not titles[0].children:
        found.append("there is no title")
    for tag in ("main", "header", "footer"):
        if len(page.all(tag)) != 1:
            found.append(f"there are {len(page.all(tag))} <{tag}>")
    ids = [node.attributes["id"] for node in page.walk() if "id" in node.attributes]
    found += [f"id {name} is given {ids.count(name)} times" for name in {name for name in ids if ids.count(name) > 1}]
    levels = [int(node.tag[1]) for node in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    if levels.count(1) != 1 or levels[:1] != [1]:
        found.append(f"headings begin with {levels[:1]}, h1 is there {levels.count(1)} times")
    found += [f"h{after} follows h{before}" for before, after in pairwise(levels) if after > before + 1]
    for node in page.walk():
        broken = [told for told, is_broken in RULES.items() if is_broken(node)]
        lost = [name for name in references(node) if name not in ids]
        found += [
            f"{named(node)} {told}" for told in (*broken, *(f"refers to {name}, which is not there" for name in lost))
        ]
    return found


def named(node: Node) -> str:
    """Return an element's start as it may be looked for."""
    kept = [f" {key}={value!r}" for key, value in node.attributes.items() if key in ("id", "class", "href")]
    return f"<{node.tag}{''.join(kept)}>"


def references(node: Node) -> list[str]:
    """Return the ids that an element refers to."""
    given = node.attributes
    href = given.get("href", "")
    return [*given.get("aria-labelledby", "").split(), *([href[1:]] if href.startswith("#") else [])]


def is_named(node: Node) -> bool:
    return bool(node.attributes.get("aria-label") or node.attributes.get("aria-labelledby"))


RULES: dict[str, Callable[[Node], bool]] = {
    "has a style or a script of its own, which the policy forbids": lambda node: any(
        name == "style" or name.startswith("on") for name in node.attributes
    ),
    "says nothing": lambda node: node.tag in ("a", "button", "summary", "h1", "h2", "h3", "h4") and not node.text,
    "tells another host where one came from": lambda node: bool(
        urlsplit(node.attributes.get("href", "")).netloc and node.attributes.get("rel") != "noopener noreferrer"
    ),
    "has no alternative": lambda node: (
        node.tag == "svg"
        and node.attributes.get("aria-hidden") != "true"
        and not (node.attributes.get("role") == "img" and node.attributes.get("aria-label"))
    ),
    "has no scope": lambda node: node.tag == "th" and node.attributes.get("scope") not in ("col", "row"),
    "has no name": lambda node: (
        (node.tag in ("section", "nav") or node.attributes.get("tabindex") == "0") and not is_named(node)
    ),
    "holds something else than items": lambda node: (
        node.tag in ("ul", "ol") and any(isinstance(child, Node) and child.tag != "li" for child in node.children)
    ),
    "has no summary": lambda node: node.tag == "details" and not node.all("summary"),
    "is no time": lambda node: (
        node.tag == "time" and not re.fullmatch(r"[\d-]{10}T[\d:]{8}Z", node.attributes.get("datetime", ""))
    ),
}
"""What may be wrong with an element, and when it is."""
