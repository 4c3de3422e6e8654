"""Retrieval by vectors, from a folder."""

from haystack import component

from lodestone.components.retrievers._embedding_retriever import EmbeddingRetriever
from lodestone.components.stores import FaissDocumentStore


@component
class FaissEmbeddingRetriever(EmbeddingRetriever[FaissDocumentStore]):
    """Finds the documents nearest to a query's embedding.

    ### Usage example

    ```python
    from lodestone import FaissDocumentStore, FaissEmbeddingRetriever

    retriever = FaissEmbeddingRetriever(FaissDocumentStore("my-index"), top_k=5)
    documents = retriever.run(query_embedding=[0.1, 0.9])["documents"]
    ```

    Parameters and outputs are those of `EmbeddingRetriever`.
    """

    store_class = FaissDocumentStore
