"""Retrieval by words: BM25, from Elasticsearch."""

from haystack import component

from lodestone.components.retrievers._bm25_retriever import BM25Retriever
from lodestone.components.stores.elasticsearch import ElasticsearchStore


@component
class ElasticsearchBM25Retriever(BM25Retriever[ElasticsearchStore]):
    """Finds the documents that have a query's words in their headings or content.

    ### Usage example

    ```python
    from lodestone import ElasticsearchBM25Retriever, ElasticsearchStore

    retriever = ElasticsearchBM25Retriever(ElasticsearchStore(index="my-index"), top_k=5)
    documents = retriever.run(query="capital of France")["documents"]
    ```

    Parameters and outputs are those of `BM25Retriever`.
    """

    store_class = ElasticsearchStore
