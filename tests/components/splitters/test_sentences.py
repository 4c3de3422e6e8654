import time

from hypothesis import given
from hypothesis import strategies as st

from lodestone.components.splitters.clusters import cut_before, is_boundary
from lodestone.components.splitters.sentences import sentence_spans


def sentences(text: str, language: str = "en") -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text, 0, len(text), language)]


def test_abbreviations_and_hard_wrapped_lines_do_not_end_sentences() -> None:
    text = "Dr. Smith paid $5.5 million to the\nU.S. Government (see Fig. 3). He left. Was it i.e. this? Yes!"
    assert sentences(text) == [
        "Dr. Smith paid $5.5 million to the\nU.S. Government (see Fig. 3).", "He left.", "Was it i.e. this?", "Yes!"
    ]  # fmt: skip


def test_scripts_without_spaces_are_cut_at_their_own_full_stops() -> None:
    assert sentences("这是第一句。这是第二句！第三句？") == ["这是第一句。", "这是第二句！", "第三句？"]
    assert sentences("مرحبا بكم. كيف الحال؟ نعم.") == ["مرحبا بكم.", "كيف الحال؟", "نعم."]


def test_a_part_of_a_text_is_cut_in_offsets_of_the_whole() -> None:
    text = "Left out. One. Two. Left out."
    assert [text[a:b] for a, b in sentence_spans(text, 10, 19)] == ["One.", "Two."]


@given(text=st.text(max_size=200), language=st.sampled_from(["en", "de", "ja", "xx", "ar"]))
def test_sentences_are_in_order_and_leave_out_nothing_but_whitespace(text: str, language: str) -> None:
    spans = sentence_spans(text, 0, len(text), language)
    end = 0
    for start, stop in spans:
        assert not text[end:start].strip()
        assert end <= start < stop
        end = stop
    assert not text[end:].strip()


def test_clusters_are_not_cut() -> None:
    for cluster in ("e\u0301", "👨‍👩‍👧", "👍🏽", "🇨🇭", "\r\n", "☺\ufe0f"):
        assert not any(is_boundary(cluster, position) for position in range(1, len(cluster)))
        assert cut_before(f"ab{cluster}", 0, len(cluster) + 1) == 2
        assert cut_before(cluster, 0, 1) == 1
    assert is_boundary("🇨🇭🇩🇪", 2)
    assert not is_boundary("🇨🇭🇩🇪", 3)


def test_a_very_long_paragraph_is_cut_as_a_short_one_is() -> None:
    text = " ".join(f"This is no. {number} of the sentences, e.g. by Dr. Smith." for number in range(2000))
    assert sentences(text) == [f"This is no. {number} of the sentences, e.g. by Dr. Smith." for number in range(2000)]
    spans = sentence_spans("x" * 50_000, 0, 50_000)
    assert (spans[0][0], spans[-1][1]) == (0, 50_000)


def test_a_text_that_the_library_is_slow_on_takes_seconds_at_most() -> None:
    begun = time.process_time()
    sentence_spans("![[" * 100_000, 0, 300_000)
    assert time.process_time() - begun < 10
