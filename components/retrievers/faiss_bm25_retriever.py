"""Retrieval by words: BM25, from a folder."""

from haystack import component

from lodestone.components.retrievers._bm25_retriever import BM25Retriever
from lodestone.components.stores import FaissDocumentStore


@component
class FaissBM25Retriever(BM25Retriever[FaissDocumentStore]):
    """Finds the documents that have a query's words in their headings or content.

    ### Usage example

    ```python
    from lodestone import FaissBM25Retriever, FaissDocumentStore

    retriever = FaissBM25Retriever(FaissDocumentStore("my-index"), top_k=5)
    documents = retriever.run(query="capital of France")["documents"]
    ```

    Parameters and outputs are those of `BM25Retriever`.
    """

    store_class = FaissDocumentStore
