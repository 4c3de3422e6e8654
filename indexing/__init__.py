"""Batch indexing: folders of files into a store, with a ledger of what was done."""

from lodestone.indexing.job import IndexingJob
from lodestone.indexing.limits import Limits
from lodestone.indexing.metadata import MetadataRules
from lodestone.indexing.progress import FileDone, Progress
from lodestone.indexing.report import FileOutcome, Report
from lodestone.indexing.settings import Settings
from lodestone.indexing.sources import Source

__all__ = [
    "FileDone",
    "FileOutcome",
    "IndexingJob",
    "Limits",
    "MetadataRules",
    "Progress",
    "Report",
    "Settings",
    "Source",
]
