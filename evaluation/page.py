"""The frame of a report: one HTML page that needs nothing beside it, and the parts that reports share."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lodestone.evaluation.plots import to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p.about { color: #52606d; margin: 0; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .22rem .6rem; text-align: left; vertical-align: top; }
tr { border-bottom: 1px solid #e4e7eb; } th { font-weight: 600; color: #52606d; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.dim { color: #7b8794; } td.part { white-space: pre-wrap; }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem; } figure { margin: 0; flex: 1 1 24rem; }
figure svg { width: 100%; height: auto; } figcaption { color: #52606d; font-size: .9rem; }
.bar { background: #d9e2ec; height: .7rem; margin-top: .35rem; } .bar.wrong { background: #f0b429; }
blockquote { margin: .3rem 0 .8rem; padding-left: .8rem; border-left: 3px solid #d9e2ec; }
mark { background: #fff3c4; } pre { background: #f5f7fa; padding: .8rem; overflow-x: auto; font-size: .85rem; }
"""


def write_page(html: str, path: Path) -> None:
    """Write a page.

    :param html: The page.
    :param path: The file; what was there before stays until all is written.
    """
    partial = path.with_name(f"{path.name}.new")
    partial.write_text(html, encoding="utf-8")
    partial.replace(path)


def page(title: str, about: Sequence[str], parts: Iterable[str], described: Mapping[str, Any]) -> str:
    """A page.

    :param title: Its title, as text.
    :param about: Lines below the title, as text.
    :param parts: What comes below, as HTML.
    :param described: What was run, shown at the end as JSON.
    """
    lines = "".join(f'<p class="about">{escape(line)}</p>' for line in about)
    run = escape(json.dumps(described, indent=2, ensure_ascii=False))
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>{lines}",
            *parts,
            f"<h2>What was run</h2><pre>{run}</pre>",
            "</body></html>\n",
        ]
    )


def plots(figures: Iterable[tuple["Figure", str]]) -> str:
    """Plots beside each other, as HTML.

    :param figures: Each with its caption, as text.
    """
    drawn = (
        f"<figure>{to_svg(figure)}<figcaption>{escape(caption)}</figcaption></figure>" for figure, caption in figures
    )
    return f'<div class="plots">{"".join(drawn)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as HTML: text in the first column, numbers in the others.

    :param head: The titles of its columns, as text.
    :param rows: Its cells, as text.
    """

    def line(cells: Sequence[str], tag: str) -> str:
        first, *others = (escape(cell) for cell in cells)
        return f"<tr><{tag}>{first}</{tag}>" + "".join(f'<{tag} class="number">{o}</{tag}>' for o in others) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
