"""Errors whose message is meant for the person who runs the software."""


class LodestoneError(Exception):
    """Something failed that the message explains: what was wrong, and what to do next."""


class ConfigurationError(LodestoneError, ValueError):
    """A wrong parameter, file or command: nothing was done. The command line exits with 2."""
