"""Errors that a person must act on."""


class Failure(Exception):  # noqa: N818 - it is what a person reads, not a programming error
    """Something a person must mend: one line that names the thing and the mend.

    Programs print the text alone, without a traceback, and exit with status 1.
    """
