"""`python -m lodestone`, and the command `lodestone`."""

import contextlib
import sys

from lodestone.stopping import quick_to_stop

_RUN_JOBS = (["index"], ["jobs", "resume"], ["jobs", "retry"])


def main() -> None:
    """Run the command line: see `lodestone.commands.main`."""
    runs_job = any(sys.argv[1 : 1 + len(words)] == words for words in _RUN_JOBS)
    with quick_to_stop() if runs_job else contextlib.nullcontext():
        from lodestone.commands import main as run

        run()


if __name__ == "__main__":
    main()
