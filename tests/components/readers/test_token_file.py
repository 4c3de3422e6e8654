import logging
import multiprocessing
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from haystack import Document

from lodestone import ExtractiveReader
from lodestone.components.models import load_tokenizer
from lodestone.components.readers.token_cache import TokenCache
from lodestone.components.readers.token_file import FILE_NAME, TokenFile
from lodestone.components.readers.tokens import PairTokenizer, PassageTokens

PAIR = PairTokenizer(load_tokenizer("lodestone/reader-minilm"))
TEXTS = ["one", "two words", "", "emoji 🙂 and ünïcode", "a longer text of six words " * 40]


class Countless(PairTokenizer):
    """A tokenizer that must not be asked for passages."""

    def passages(self, texts: list[str]) -> list[PassageTokens]:
        raise AssertionError(f"tokenized again: {texts}")


def cache(folder: Path, tokenizer: PairTokenizer = PAIR, max_bytes: int = 1 << 30) -> TokenCache:
    return TokenCache(tokenizer, disk=TokenFile(folder, PAIR.fingerprint(), max_bytes))


def flat(passages: list[PassageTokens]) -> list[list[list[int]]]:
    return [[p.ids.tolist(), p.starts.tolist(), p.ends.tolist()] for p in passages]


def run_sql(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / FILE_NAME)
    with connection:
        connection.execute(statement)
    connection.close()


def test_another_process_finds_the_same_tokens_without_tokenizing(tmp_path: Path) -> None:
    expected = flat(PAIR.passages(TEXTS))
    assert flat(cache(tmp_path).passages(TEXTS)) == expected
    unasked = Countless(load_tokenizer("lodestone/reader-minilm"))
    assert flat(cache(tmp_path, unasked).passages([*reversed(TEXTS), *TEXTS])) == expected[::-1] + expected


def test_ids_and_offsets_beyond_two_bytes_are_kept(tmp_path: Path) -> None:
    large = PassageTokens(*(np.array([3, 70_000], dtype=np.int32) + at for at in range(3)))
    TokenFile(tmp_path, b"f").store({b"key": large})
    assert flat(list(TokenFile(tmp_path, b"f").load([b"key", b"other"]).values())) == flat([large])


def test_tokens_of_another_tokenizer_are_never_given(tmp_path: Path, shared: Path) -> None:
    cache(tmp_path).passages(TEXTS)
    other = PairTokenizer(load_tokenizer(shared / "tokenizers" / "roberta-base"))
    assert other.fingerprint() != PAIR.fingerprint()
    found = TokenCache(other, disk=TokenFile(tmp_path, other.fingerprint())).passages(TEXTS)
    assert flat(found) == flat(other.passages(TEXTS))
    assert PairTokenizer(load_tokenizer("lodestone/reader-minilm")).fingerprint() == PAIR.fingerprint()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE tokens SET packed = zeroblob(length(packed))",
        "UPDATE tokens SET packed = substr(packed, 1, length(packed) - 1)",
        "UPDATE tokens SET checksum = checksum + 1",
        "UPDATE tokens SET packed = (SELECT packed FROM tokens WHERE number = 2), "
        "checksum = (SELECT checksum FROM tokens WHERE number = 2)",
        "UPDATE tokens SET packed = 'text'",
    ],
)
def test_damaged_entries_are_reported_and_made_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = cache(tmp_path)
    first.passages(TEXTS)
    run_sql(tmp_path, f"{damage} WHERE number = 1" if "SELECT" in damage else damage)
    with caplog.at_level(logging.WARNING):
        assert flat(cache(tmp_path).passages(TEXTS)) == flat(PAIR.passages(TEXTS))
    assert len(caplog.records) == 1
    assert "damaged entries are made again" in caplog.text
    caplog.clear()
    unasked = Countless(load_tokenizer("lodestone/reader-minilm"))
    assert flat(cache(tmp_path, unasked).passages(TEXTS)) == flat(PAIR.passages(TEXTS))
    assert not caplog.records


@pytest.mark.parametrize("content", [b"no database, but longer than a header " * 40, b"short"])
def test_a_damaged_file_is_reported_and_made_again(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert flat(cache(tmp_path).passages(TEXTS)) == flat(PAIR.passages(TEXTS))
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [f"{tmp_path / FILE_NAME} is damaged"]
    cache(tmp_path, Countless(load_tokenizer("lodestone/reader-minilm"))).passages(TEXTS)


def test_a_damaged_file_that_cannot_be_removed_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / FILE_NAME).write_bytes(b"no database, but longer than a header " * 40)
    monkeypatch.setattr(Path, "unlink", refused)  # permissions do not stop root, whom tests may run as
    tokens = cache(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert flat(tokens.passages(TEXTS)) == flat(PAIR.passages(TEXTS))
        assert flat(tokens.passages(["more"])) == flat(PAIR.passages(["more"]))
    assert len(caplog.records) == 2
    assert "tokens are kept in memory only" in caplog.text
    assert "is damaged" in caplog.text


def test_pages_that_were_overwritten_give_right_tokens(tmp_path: Path) -> None:
    disk = TokenFile(tmp_path, PAIR.fingerprint())
    texts = [f"passage number {number} " * 30 for number in range(50)]
    TokenCache(PAIR, disk=disk).passages(texts)
    disk.close()
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    content[5000 : len(content) // 2] = bytes(len(content) // 2 - 5000)
    path.write_bytes(content)
    for _ in range(2):
        assert flat(cache(tmp_path).passages(texts)) == flat(PAIR.passages(texts))


def test_a_folder_that_cannot_be_used_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        kept = cache(tmp_path / "file")
        assert flat(kept.passages(TEXTS)) == flat(PAIR.passages(TEXTS))
        kept.passages(["something else"])
    assert len(caplog.records) == 1
    assert "tokens are kept in memory only" in caplog.text


def test_the_file_stays_bounded_and_what_was_written_first_goes_first(tmp_path: Path) -> None:
    limit = 100_000
    for number in range(30):
        texts = [f"{number} {part} " + "word " * 200 for part in range(10)]
        disk = TokenFile(tmp_path, PAIR.fingerprint(), max_bytes=limit)
        TokenCache(PAIR, disk=disk).passages(texts)
        disk.close()
    assert (tmp_path / FILE_NAME).stat().st_size < 2 * limit
    cache(tmp_path, Countless(load_tokenizer("lodestone/reader-minilm"))).passages(texts)


def read_in_turn(folder: Path, seed: int) -> list[list[list[int]]]:
    order = np.random.default_rng(seed).permutation(40)
    texts = [f"passage {at} of forty" for at in order]
    found: list[PassageTokens] = []
    for at in range(0, 40, 5):
        found += cache(folder).passages(texts[at : at + 5])
    assert flat(found) == flat(PAIR.passages(texts))
    return flat([found[at] for at in np.argsort(order)])


def test_several_processes_may_write_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        results = pool.starmap(read_in_turn, [(tmp_path, seed) for seed in range(3)])
    assert results[0] == results[1] == results[2]
    run_sql(tmp_path, "CREATE TABLE whole AS SELECT 1")


def test_the_reader_keeps_tokens_where_it_is_told(tmp_path: Path) -> None:
    passage = Document(content="The lighthouse was built by Ida Holm in 1911.")
    answers = []
    for _ in range(2):
        reader = ExtractiveReader(device="cpu", token_cache=str(tmp_path / "tokens"))
        answers.append(reader.run("Who built the lighthouse?", [passage])["answers"][0])
    assert (tmp_path / "tokens" / FILE_NAME).is_file()
    assert answers[0].data == answers[1].data == "Ida Holm"
    assert answers[0].score == answers[1].score
    assert ExtractiveReader.from_dict(reader.to_dict()).token_cache == str(tmp_path / "tokens")
    assert "token_cache" not in ExtractiveReader().to_dict()["init_parameters"]
