"""Batch indexing: folders of files into a store, with a ledger of what was done."""

from lodestone.indexing.job import IndexingJob, Progress
from lodestone.indexing.report import FileOutcome, Report

__all__ = ["FileOutcome", "IndexingJob", "Progress", "Report"]
