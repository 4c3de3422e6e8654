"""`lodestone search`: passages only, unread."""

from typing import Annotated

import typer

from lodestone.commands.console import (
    FilterOption,
    IndexOption,
    JsonOption,
    QueryPipelineOption,
    console,
    open_query_pipeline,
    print_json,
)


def search(
    words: Annotated[str, typer.Argument(help="What to search for: words or a question.")],
    pipeline: QueryPipelineOption = "query_faiss",
    index: IndexOption = None,
    top_k: Annotated[int | None, typer.Option("--top-k", metavar="N", help="The most passages to show.")] = None,
    filters: FilterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the passages that match, without reading answers out of them."""
    from lodestone.commands.cards import print_passages
    from lodestone.pipelines.answering import Question
    from lodestone.pipelines.filters import explain_nothing, parse_filters

    question = Question(words, filters=parse_filters(filters), top_k=top_k)
    asked = open_query_pipeline(pipeline, index)
    passages, copies = asked.search(question), asked.copies()
    if not passages and (reason := explain_nothing(question.filters, asked.store)) is not None:
        typer.echo(reason, err=True)
    if not as_json:
        out = console()
        print_passages(passages, out, copies)
        if not passages:
            out.print("No passage matches.")
        return
    for passage in passages:
        found = {"id": passage.id, "score": passage.score, "content": passage.content, "meta": passage.meta}
        others = copies.of(passage.meta)
        print_json({**found, "copies": others} if others else found)
