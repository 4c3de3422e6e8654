"""Make the PDF, Word, PowerPoint and Excel files of `examples/corpus` from the plain text in `examples/sources`.

    python examples/make_corpus.py                 # writes into examples/corpus
    python examples/make_corpus.py --output DIR    # writes somewhere else

The other documents of the corpus (md, rst, txt, html, csv, jsonl) are written by hand and are not touched.

A source is plain text in blocks, parted by blank lines or by their first characters: `# ` and `## ` are headings, lines
that begin with `- ` make a list, lines between `|` make a table whose first row is its header, anything else is a
paragraph on one line. A line `===` begins a new page, slide or sheet. In a workbook the `# ` heading names the sheet.

Every date in the files is fixed, so running the script twice with the same libraries gives the same bytes. Needs
`python-docx`, `python-pptx` and `openpyxl` (dependencies of Lodestone) and `reportlab` (in the `dev` extra).
"""

from __future__ import annotations

import argparse
import datetime
import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
AUTHOR = "Skarrow Sound Ferry Cooperative"
DATE = datetime.datetime(2025, 6, 30, 12, 0, 0)

# Source in examples/sources -> document in examples/corpus.
DOCUMENTS = {
    "annual-report-2024.txt": "about/annual-report-2024.pdf",
    "board-minutes-2024-11.txt": "about/board-minutes-2024-11.docx",
    "board-minutes-2025-03.txt": "about/board-minutes-2025-03.docx",
    "freight-guide.txt": "freight/freight-guide.pdf",
    "new-crew-induction.txt": "staff/new-crew-induction.pptx",
    "safety-manual.txt": "fleet/safety-manual.pdf",
    "seabird-count.txt": "islands/seabird-count.xlsx",
    "staff-handbook-leave.txt": "staff/handbook-leave.docx",
    "wildlife-talk.txt": "islands/wildlife-talk.pptx",
    "winter-refit-2025.txt": "fleet/winter-refit-2025.xlsx",
}


@dataclass
class Block:
    """
    One block of a source.

    `level` is 1 or 2 for a heading and 0 otherwise; `lines` holds the text (one line) or the items of a list; a table
    has `rows` of cells instead, header first.
    """

    kind: Literal["heading", "paragraph", "list", "table"]
    lines: list[str]
    rows: list[list[str]]
    level: int = 0

    @property
    def text(self) -> str:
        """The text of a heading or a paragraph."""
        return self.lines[0]


def parse(text: str) -> list[list[Block]]:
    """
    Read a source.

    :param text: the whole source.
    :returns: its pages (slides, sheets), each a list of blocks.
    """
    pages: list[list[Block]] = [[]]
    for line in text.splitlines():
        blocks = pages[-1]
        last = blocks[-1].kind if blocks else None
        if line == "===":
            pages.append([])
        elif heading := re.fullmatch(r"(#+) (.+)", line):
            blocks.append(Block("heading", [heading[2]], [], len(heading[1])))
        elif line.startswith("|"):
            if last != "table":
                blocks.append(Block("table", [], []))
            blocks[-1].rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif line.startswith("- "):
            if last != "list":
                blocks.append(Block("list", [], []))
            blocks[-1].lines.append(line[2:])
        elif line.strip():
            blocks.append(Block("paragraph", [line], []))
    return pages


def make_pdf(pages: list[list[Block]]) -> bytes:
    """
    Set the pages as an A5 PDF with a running foot, headings, lists and ruled tables.

    :param pages: what `parse` returned; each begins a new page, and long ones run on.
    :returns: the file's bytes.
    """
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A5
    from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
    from reportlab.lib.units import mm
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

    styles = getSampleStyleSheet()
    body = ParagraphStyle("prose", parent=styles["BodyText"], fontSize=9.5, leading=13)
    ruled = TableStyle(
        [
            ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
            ("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold"),
            ("FONTSIZE", (0, 0), (-1, -1), 8.5),
        ]
    )
    story: list[Any] = []
    for number, page in enumerate(pages):
        if number:
            story.append(PageBreak())
        for block in page:
            if block.kind == "table":
                story += [Spacer(0, 2 * mm), Table(block.rows, hAlign="LEFT", style=ruled), Spacer(0, 3 * mm)]
            elif block.kind == "heading":
                story.append(Paragraph(escape(block.text), styles["Heading1" if block.level == 1 else "Heading2"]))
            else:
                bullet = "•" if block.kind == "list" else None
                story += [Paragraph(escape(line), body, bulletText=bullet) for line in block.lines]

    def foot(canvas: Any, document: Any) -> None:
        canvas.setFont("Helvetica", 7)
        canvas.drawString(16 * mm, 9 * mm, f"{AUTHOR} - {title} - {document.page}")

    title = pages[0][0].text
    stream = io.BytesIO()
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), 16 * mm)
    # invariant: reportlab then writes a fixed date and a document id that depends on the content alone.
    document = SimpleDocTemplate(stream, pagesize=A5, title=title, author=AUTHOR, invariant=1, **margins)
    document.build(story, onFirstPage=foot, onLaterPages=foot)
    return stream.getvalue()


def make_docx(pages: list[list[Block]]) -> bytes:
    """
    Write the pages as one Word document with headings, lists and tables.

    :param pages: what `parse` returned.
    :returns: the file's bytes.
    """
    import docx

    document = docx.Document()
    stamp(document.core_properties, pages[0][0].text)
    for block in (block for page in pages for block in page):
        if block.kind == "heading":
            document.add_heading(block.text, block.level)
        elif block.kind == "table":
            table = document.add_table(rows=0, cols=len(block.rows[0]), style="Table Grid")
            for row in block.rows:
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.text = text
        else:
            style = "List Bullet" if block.kind == "list" else None
            for line in block.lines:
                document.add_paragraph(line, style=style)
    stream = io.BytesIO()
    document.save(stream)
    return same_dates(stream.getvalue())


def make_pptx(pages: list[list[Block]]) -> bytes:
    """
    Write each page as a slide: its heading as the title, everything else in the text frame below.

    :param pages: what `parse` returned; a page holds a heading and then paragraphs or a list.
    :returns: the file's bytes.
    """
    import pptx

    presentation = pptx.Presentation()
    stamp(presentation.core_properties, pages[0][0].text)
    for number, page in enumerate(pages):
        # Layouts of the default template: 0 is a title slide, 1 a title with a list.
        slide = presentation.slides.add_slide(presentation.slide_layouts[0 if number == 0 else 1])
        slide.shapes.title.text = page[0].text
        slide.placeholders[1].text_frame.text = "\n".join(line for block in page[1:] for line in block.lines)
    stream = io.BytesIO()
    presentation.save(stream)
    return same_dates(stream.getvalue())


def make_xlsx(pages: list[list[Block]]) -> bytes:
    """
    Write each page as a sheet: its heading is the sheet's name, its table the cells.

    :param pages: what `parse` returned; cells such as `1,960` become whole numbers.
    :returns: the file's bytes.
    """
    import openpyxl

    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    stamp(workbook.properties, "Workbook")
    for heading, table in pages:
        sheet = workbook.create_sheet(heading.text)
        for row in table.rows:
            sheet.append([int(cell.replace(",", "")) if re.fullmatch(r"[\d,]+", cell) else cell for cell in row])
    stream = io.BytesIO()
    workbook.save(stream)
    return same_dates(stream.getvalue())


def stamp(properties: Any, title: str) -> None:
    """
    Give an Office document its title and author; the dates are set by `same_dates`.

    :param properties: the library's core properties, changed in place.
    :param title: the document's title.
    """
    properties.title = title
    if hasattr(properties, "author"):
        properties.author = AUTHOR
    else:
        properties.creator = AUTHOR


def same_dates(data: bytes) -> bytes:
    """
    Write an Office file (a zip archive) again with `DATE` for every member and in its own metadata.

    The libraries put the time of writing there, so two runs would differ.

    :param data: the file as its library wrote it.
    :returns: the same file with fixed dates.
    """
    written = f"{DATE:%Y-%m-%dT%H:%M:%S}Z".encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "docProps/core.xml":
                dates = rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*"
                content = re.sub(dates, rb"\g<1>" + written, content)
            member = zipfile.ZipInfo(name, date_time=DATE.timetuple()[:6])
            member.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(member, content)
    return stream.getvalue()


MAKERS: dict[str, Callable[[list[list[Block]]], bytes]] = {
    ".pdf": make_pdf,
    ".docx": make_docx,
    ".pptx": make_pptx,
    ".xlsx": make_xlsx,
}


def make_corpus(output: Path) -> list[Path]:
    """
    Make every document of `DOCUMENTS`.

    :param output: the folder to write into; folders below it are made as needed.
    :returns: the files written.
    """
    written = []
    for source, name in DOCUMENTS.items():
        pages = parse((HERE / "sources" / source).read_text(encoding="utf-8"))
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(MAKERS[path.suffix](pages))
        written.append(path)
    return written


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Make the binary documents of the example corpus.")
    parser.add_argument("--output", type=Path, default=HERE / "corpus", help="folder to write into")
    for path in make_corpus(parser.parse_args().output):
        print(path)


if __name__ == "__main__":
    main()
