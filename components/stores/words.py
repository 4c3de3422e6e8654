"""How texts and queries become the terms of the full-text index."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from lodestone.components.stores.encoding import clean_text

# Languages that tantivy has a stemmer for; those with False have no list of stop words there.
LANGUAGES = {
    "arabic": False,
    "danish": True,
    "dutch": True,
    "english": True,
    "finnish": True,
    "french": True,
    "german": True,
    "greek": False,
    "hungarian": True,
    "italian": True,
    "norwegian": True,
    "portuguese": True,
    "romanian": False,
    "russian": True,
    "spanish": True,
    "swedish": True,
    "tamil": False,
    "turkish": False,
}
TOKENIZER = "lodestone"
# What a term counts in the headings beside what it counts anywhere in the text; benchmarks/retrieval_quality.py.
HEADINGS_WEIGHT = 0.5
_LONGEST_TERM = 80
# tantivy's lists are Snowball's, save for English, where it has Lucene's 33 words only, and none that a question
# begins with. These are Snowball's (https://snowballstem.org/algorithms/english/stop.txt), contractions as the
# tokenizer cuts them, less those pieces that are words of their own ("don", "won", the letters d and m).
ENGLISH_STOP_WORDS = """
i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it its
itself they them their theirs themselves what which who whom this that these those am is are was were be been being have
has had having do does did doing would should could ought s t ll ve re isn aren wasn weren hasn haven hadn doesn didn
wouldn shouldn couldn mustn cannot a an the and but if or because as until while of at by for with about against between
into through during before after above below to from up down in out on off over under again further then once here there
when where why how all any both each few more most other some such no nor not only own same so than too very
"""
_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»", '"'))
# A quote opens where no word ends and closes where none begins: 5" and 3" are inches.
_PHRASE = re.compile(r'(?<!\w)"([^"]+)"(?!\w)')


@dataclass(frozen=True)
class ParsedQuery:
    """A query as terms.

    :param terms: Terms that count when they occur, and how often each is in the query.
    :param phrases: Terms that must occur one after the other, at least one each.
    """

    terms: "Counter[str]"
    phrases: list[list[str]]


def split_phrases(query: str) -> tuple[list[str], str]:
    """The phrases in quotes of a query, and the rest of it.

    :param query: Any text. Quotes may be straight or curly; one without its partner means nothing.
    """
    text = clean_text(query).translate(_QUOTES)
    return _PHRASE.findall(text), _PHRASE.sub(" ", text)


def without_quotes(query: str) -> str:
    """A query with the words of its phrases as words like all others."""
    return clean_text(query).translate(_QUOTES).replace('"', " ")


class Words:
    """Cuts texts into terms: lower case, stems, no accents.

    Every word of a text is indexed, so that any phrase can be found; stop words are left out of queries.

    :param language: A key of `LANGUAGES`, or "none" for words as they are.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._all: Any = None
        self._telling: Any = None

    def analyzer(self, stop_words: bool = True) -> Any:
        """A tantivy analyzer.

        :param stop_words: Whether it keeps words that nearly every text has.
        """
        import tantivy

        builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        builder = builder.filter(tantivy.Filter.remove_long(_LONGEST_TERM)).filter(tantivy.Filter.lowercase())
        if not stop_words and LANGUAGES.get(self._language, False):
            builder = builder.filter(tantivy.Filter.stopword(self._language))
            if self._language == "english":
                builder = builder.filter(tantivy.Filter.custom_stopword(ENGLISH_STOP_WORDS.split()))
        if self._language != "none":
            builder = builder.filter(tantivy.Filter.stemmer(self._language))
        return builder.filter(tantivy.Filter.ascii_fold()).build()

    def parse(self, query: str) -> ParsedQuery:
        """Read a query: what stands in quotes is a phrase, all else are words.

        :param query: Any text, see `split_phrases`.
        :returns: The terms. A query of stop words only is searched for by these.
        """
        if self._all is None:
            self._telling = self.analyzer(stop_words=False)
            self._all = self.analyzer()
        quoted, rest = split_phrases(query)
        phrases = [terms for phrase in quoted if (terms := self._all.analyze(phrase))]
        terms = self._telling.analyze(rest)
        if not terms and not phrases:
            terms = self._all.analyze(rest)
        return ParsedQuery(Counter(terms), phrases)
