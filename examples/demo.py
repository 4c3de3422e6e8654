"""Asks the index of the example documents five questions; `make demo` runs it.

python examples/demo.py [--index DIR]
"""

import argparse

from rich.console import Console

from lodestone.commands.cards import print_answer
from lodestone.pipelines import load_pipeline
from lodestone.pipelines.answering import QueryPipeline, Question

QUESTIONS = [
    "Why are the ferries painted dark green?",
    "Which word do crews say on the radio when something is burning?",
    "How quickly does the Kittiwake have to launch her rescue boat?",
    "What rent will the bakers pay for the café?",
    "What hourly wage does a new deckhand earn?",
]


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", default=".lodestone-demo")
    index = parser.parse_args().index
    out = Console(highlight=False)
    pipeline = QueryPipeline(load_pipeline("query_faiss", index=index))
    for answered in pipeline.ask([Question(text, top_k=1) for text in QUESTIONS]):
        out.rule(answered.question.text, align="left")
        print_answer(answered, out)
        out.print()
    out.rule()
    out.print("Ask more:", soft_wrap=True)
    out.print(f"  .venv/bin/lodestone ask 'What did the herring drifter cost?' --index {index}", soft_wrap=True)
    out.print("Index documents of your own, and ask them:", soft_wrap=True)
    out.print("  .venv/bin/lodestone index FOLDER", soft_wrap=True)
    out.print("  .venv/bin/lodestone ask 'Your question?'", soft_wrap=True)


if __name__ == "__main__":
    main()
