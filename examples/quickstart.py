"""Index a folder and ask it a question, from Python.

python examples/quickstart.py
"""

from pathlib import Path

from lodestone.indexing import IndexingJob
from lodestone.pipelines import load_pipeline
from lodestone.pipelines.answering import QueryPipeline, Question
from lodestone.pipelines.stages import cut_at_embedder

corpus = Path(__file__).parent / "corpus"
job = IndexingJob(cut_at_embedder(load_pipeline("indexing_faiss", index="my-index")))
print(f"{job.run([corpus]).passages} passages")

pipeline = QueryPipeline(load_pipeline("query_faiss", index="my-index"))
answer = pipeline.ask([Question("Why are the ferries painted dark green?")])[0].answers[0]
print(f"{answer.data} ({answer.score:.0%}), {answer.document.meta['source']}")
