"""Retrieval by vectors and by words together, from Elasticsearch."""

from haystack import component

from lodestone.components.retrievers._hybrid_retriever import HybridRetriever
from lodestone.components.stores.elasticsearch import ElasticsearchStore


@component
class ElasticsearchHybridRetriever(HybridRetriever[ElasticsearchStore]):
    """Finds documents by vectors and by words, and joins the two rankings.

    ### Usage example

    ```python
    from lodestone import ElasticsearchHybridRetriever, ElasticsearchStore

    retriever = ElasticsearchHybridRetriever(ElasticsearchStore(index="my-index"), top_k=5)
    documents = retriever.run(query="capital of France", query_embedding=[0.1, 0.9])["documents"]
    ```

    Parameters and outputs are those of `HybridRetriever`.
    """

    store_class = ElasticsearchStore
