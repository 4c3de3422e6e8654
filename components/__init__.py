"""Haystack components, each usable alone. Nothing here imports another package of Lodestone."""
