"""Markdown as a part of a page: no HTML of its own, no image, and headings below those of the page."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
"""The YAML before a card's text, which is for programs."""

REASON = re.compile(r"(?:\.\./reasons/)?([A-Z]\w+)\.md(?:#.*)?")
"""A link between pages of docs/reasons."""


def rendered(text: str, *, below: int) -> Markup:
    """Return Markdown as HTML, whose headings stand so many levels lower than it says."""
    parser = _parser()
    tokens = list(_framed(_safe(_headed(parser.parse(HEAD.sub("", text))), below)))
    return Markup(parser.renderer.render(tokens, parser.options, {}))


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def _headed(tokens: list[Token]) -> Iterator[Token]:
    """Yield what is to be shown: a table's head that says nothing is left out."""
    index = 0
    while index < len(tokens):
        if tokens[index].type == "thead_open":
            end = next(place for place in range(index, len(tokens)) if tokens[place].type == "thead_close")
            if not any(token.content for token in tokens[index:end]):
                index = end + 1
                continue
        yield tokens[index]
        index += 1


def _framed(tokens: Iterator[Token]) -> Iterator[Token]:
    """Yield tables inside a frame of their own, so that a wide one moves alone."""
    for token in tokens:
        if token.type == "table_open":
            yield _html('<div class="scroll" role="region" aria-label="Table" tabindex="0">')
        yield token
        if token.type == "table_close":
            yield _html("</div>")


def _html(text: str) -> Token:
    return Token("html_block", "", 0, content=text)


def _safe(tokens: Iterator[Token], below: int) -> Iterator[Token]:
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1:]) + below)}"
        if token.type == "th_open":
            token.attrSet("scope", "col")
        if token.children:
            token.children = list(_linked(token.children))
        yield token


def _linked(tokens: list[Any]) -> Iterator[Any]:
    """Yield a line's parts, without links that lead nowhere from a page."""
    is_kept: list[bool] = []
    for token in tokens:
        if token.type == "link_open":
            href = str(token.attrGet("href") or "")
            is_reason = REASON.fullmatch(href)
            is_kept.append(bool(is_reason) or urlsplit(href).scheme in ("http", "https"))
            token.attrSet("rel", "noopener noreferrer")
            if is_reason:
                token.attrSet("href", f"/reasons/{is_reason[1]}")
        if token.type not in ("link_open", "link_close") or is_kept[-1]:
            yield token
        if token.type == "link_close":
            is_kept.pop()
