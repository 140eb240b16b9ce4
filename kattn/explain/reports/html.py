"""The page of a report: plain HTML and CSS, pictures inside, no script, and a policy that forbids any request."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field

from kattn.explain.drawing.text import printable
from kattn.version import __version__

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 0.6rem; }
p.note, figcaption { color: #555; font-size: 0.9rem; }
nav a { margin-right: 1rem; color: #31688e; }
figure { margin: 0.5rem 0; } img { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.25rem 1.2rem 0.25rem 0; border-bottom: 1px solid #e3e3e3; vertical-align: top; }
summary { cursor: pointer; color: #31688e; }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: Its heading.
        pictures: Data URLs with their captions.
        note: A sentence above the table.
        rows: A table, whose first row is its heading; a heading of empty texts is left out.
        folded: Whether the table opens on a click.
    """

    title: str
    pictures: Sequence[tuple[str, str]] = ()
    note: str = ""
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    folded: bool = False


def page(title: str, sections: Sequence[Section]) -> str:
    """The whole document. Texts may hold anything: what a page cannot hold is replaced."""
    links = "".join(f'<a href="#part{i}">{_escaped(part.title)}</a>' for i, part in enumerate(sections))
    body = "".join(_section(i, part) for i, part in enumerate(sections))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<h1>{_escaped(title)}</h1>\n<p class="note">kattn {__version__}</p>\n<nav>{links}</nav>\n'
        f"{body}</body>\n</html>\n"
    )


def _escaped(text: str) -> str:
    return html.escape(printable(text))


def _section(number: int, part: Section) -> str:
    pictures = "".join(
        f'<figure><div class="wide"><img src="{url}" alt="{_escaped(f"{part.title}. {caption}")}"></div>'
        f"<figcaption>{_escaped(caption)}</figcaption></figure>\n"
        for url, caption in part.pictures
    )
    note = f"<p>{_escaped(part.note)}</p>\n" if part.note else ""
    table = _table(part.rows) if part.rows else ""
    if part.folded and table:
        table = f"<details><summary>all numbers</summary>\n{table}</details>\n"
    return f'<section id="part{number}">\n<h2>{_escaped(part.title)}</h2>\n{pictures}{note}{table}</section>\n'


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = "".join("<tr>" + "".join(f"<td>{_escaped(cell)}</td>" for cell in row) + "</tr>\n" for row in body)
    heading = "".join(f"<th>{_escaped(cell)}</th>" for cell in head)
    top = f"<thead><tr>{heading}</tr></thead>\n" if any(head) else ""
    return f'<div class="wide"><table>\n{top}<tbody>\n{lines}</tbody></table></div>\n'
