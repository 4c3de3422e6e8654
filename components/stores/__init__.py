"""Document stores: where passages, their vectors and the ledger of files live."""

from lodestone.components.stores.faiss_document_store import FaissDocumentStore
from lodestone.components.stores.records import SourceRecord, SourceText

__all__ = ["FaissDocumentStore", "SourceRecord", "SourceText"]
