"""Retrieval by vectors, from Elasticsearch."""

from haystack import component

from lodestone.components.retrievers._embedding_retriever import EmbeddingRetriever
from lodestone.components.stores.elasticsearch import ElasticsearchStore


@component
class ElasticsearchEmbeddingRetriever(EmbeddingRetriever[ElasticsearchStore]):
    """Finds the documents nearest to a query's embedding.

    ### Usage example

    ```python
    from lodestone import ElasticsearchEmbeddingRetriever, ElasticsearchStore

    retriever = ElasticsearchEmbeddingRetriever(ElasticsearchStore(index="my-index"), top_k=5)
    documents = retriever.run(query_embedding=[0.1, 0.9])["documents"]
    ```

    Parameters and outputs are those of `EmbeddingRetriever`.
    """

    store_class = ElasticsearchStore
