"""Readers of pages that share no code with what writes them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

FILLED = re.compile(r"^data:image/(svg\+xml|jpeg|png|webp);base64,")


class PlainPage(HTMLParser):
    """A page that is read, not worked with: its tags, its text, what its attributes fetch or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pictures: list[str] = []
        self.alternatives: list[str] = []
        self.bad: list[tuple[str, str, str | None]] = []
        self._text: list[str] = []
        self._silent = 0
        self.feed(text)
        self.close()

    @classmethod
    def of(cls, file: Path) -> PlainPage:
        return cls(file.read_text("utf-8"))

    @property
    def text(self) -> str:
        """What is read, blanks of all kinds as one."""
        return re.sub(r"\s+", " ", "".join(self._text).replace("\u2060", ""))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._silent += tag in {"style", "title"}
        self._text.append(" ")
        of = dict(attrs)
        if tag == "img":
            self.pictures.append(of.get("src") or "")
            self.alternatives.append(of.get("alt") or "")
        for name, value in attrs:
            allowed = (name == "src" and tag == "img" and FILLED.match(value or "")) or (
                name == "href" and (value or "").startswith("#")
            )
            fetches = name in {"src", "href", "srcset", "action", "data", "poster", "background", "formaction"}
            if name.startswith("on") or (fetches and not allowed) or "javascript:" in (value or "").lower():
                self.bad.append((tag, name, value))

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in {"style", "title"}
        self._text.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._text.append(data)


def expect_plain(text: str) -> PlainPage:
    """Check that a page, or a cell's output, runs nothing and asks for nothing; return it taken apart."""
    page = PlainPage(text)
    assert page.bad == []
    assert not {"script", "iframe", "object", "embed", "link", "form", "base", "svg", "template"} & set(page.tags)
    styles = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    assert not re.search(r"@import|url\(", styles)
    return page
