"""Finding one document again that the ledger knows and a job was not asked for."""

import os

from lodestone.indexing.scanning import Scanner
from lodestone.indexing.sources import Scope, SourceFile


def find_again(scanner: Scanner, root: str, folder: str, path: str) -> SourceFile | None:
    """Look for a document where it was indexed from.

    :param scanner: Looks for documents.
    :param root: Its root's name.
    :param folder: Its root's folder.
    :param path: Its path within the root: of a file, or of a file in an archive.
    :returns: The document; None if it is not there, or is a row of a table or behind a URL.
    """
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        prefix = "/".join(parts[:end])
        if "://" not in folder and os.path.isfile(f"{folder}/{prefix}"):
            found = scanner.scan(Scope(root, folder, prefix, shown=f"{folder}/{prefix}"))
            return next((source for source in found.files if source.path == path), None)
    return None
