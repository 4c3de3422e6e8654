"""Batch indexing: folders of files into a store, with a ledger of what was done."""

from lodestone.indexing.job import IndexingJob, Progress
from lodestone.indexing.limits import Limits
from lodestone.indexing.report import FileOutcome, Report
from lodestone.indexing.settings import Settings

__all__ = ["FileOutcome", "IndexingJob", "Limits", "Progress", "Report", "Settings"]
