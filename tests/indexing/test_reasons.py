import pytest

from lodestone.indexing.reasons import ENCRYPTED, SCANNED, why_empty, why_failed

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@pytest.mark.parametrize(
    ("path", "data", "warnings", "reason"),
    [
        ("a.txt", b"", [], "the file is empty"),
        ("a.txt", b" ", [], "no text in this file"),
        ("a.PDF", b"%PDF-1.4", [], SCANNED),
        ("a.html", b"<p>", ["discarding data: None"], "no text in this file"),
        (
            "a.pdf",
            b"%PDF-1.4",
            ["Could not read ByteStream(...) . Skipping it. Error: File has not been decrypted"],
            ENCRYPTED,
        ),
        ("a.json", b"{", ["Could not read a.json. Skipping it. Error: \x1b[2J"], r"\x1b[2J"),
        ("a.json", b"{", ["Could not read a.json as JSON. Skipping it. Error: line 1"], "line 1"),
    ],
)
def test_why_there_is_nothing(path: str, data: bytes, warnings: list[str], reason: str) -> None:
    assert why_empty(path, data, warnings) == reason


@pytest.mark.parametrize(
    ("path", "data", "reason"),
    [
        ("a.docx", OLE + "EncryptedPackage".encode("utf-16-le"), ENCRYPTED),
        ("a.docx", OLE, "not a .docx file but one of an older kind of Office: save it as .docx first"),
        ("a.xlsx", b"../elsewhere.xlsx", "not a .xlsx file, whatever its name says"),
        ("a.pptx", b"PK", "damaged, or of a kind that its converter cannot read (the message)"),
        ("a.pdf", b"hello", "not a PDF, whatever its name says (the message)"),
        ("a.pdf", b"\n%PDF-1.4", "damaged, or of a kind that its converter cannot read (the message)"),
        ("a.json", b"{", "the message"),
    ],
)
def test_why_a_converter_failed(path: str, data: bytes, reason: str) -> None:
    assert why_failed(path, data, "the\n message") == reason


def test_a_reason_fits_a_line() -> None:
    assert len(why_failed("a.json", b"{", "long " * 1000)) == 200
