"""SQuAD's normalisation of answers, by which two quotes count as the same."""

import re
import string

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower-case, without ASCII punctuation and English articles, white space folded.

    The rules and their order are those of the SQuAD evaluation script (Rajpurkar et al. 2016).

    :param text: An answer.
    :returns: Its normalised form; empty where nothing else was in it.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())
