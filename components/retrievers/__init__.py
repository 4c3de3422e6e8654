"""Retrievers: passages for a query, by vectors, by words, or by both."""

from lodestone.components.retrievers.faiss_bm25_retriever import FaissBM25Retriever
from lodestone.components.retrievers.faiss_embedding_retriever import FaissEmbeddingRetriever
from lodestone.components.retrievers.faiss_hybrid_retriever import FaissHybridRetriever

__all__ = ["FaissBM25Retriever", "FaissEmbeddingRetriever", "FaissHybridRetriever"]
