"""Passages in Elasticsearch, for what one machine cannot hold."""

try:
    import elasticsearch  # noqa: F401
    import haystack_integrations.document_stores.elasticsearch  # noqa: F401
except ImportError as error:
    raise ImportError(f"Elasticsearch needs `pip install 'lodestone[elasticsearch]'` ({error})") from error

from lodestone.components.stores.elasticsearch.elasticsearch_store import ElasticsearchStore

__all__ = ["ElasticsearchStore"]
