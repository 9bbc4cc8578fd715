"""Forms: schemas that documents are judged by, quickly where they are valid.

`jsonschema` is the reference for every verdict. Before it stands `jsonschema-rs` on a *narrowed*
copy of the schema that accepts only what the reference accepts: what it takes is valid, and what
it does not take the reference judges.
"""

from functools import cache
from typing import Any

import jsonschema_rs

import schemas
from pipeline.narrowing import narrowed
from pipeline.refusals import against


class Form:
    """One schema: the reference for it, and what stands before the reference."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._reference = schemas.validator(name)
        self._narrowed = jsonschema_rs.validator_for(
            narrowed(schemas.load(name)),
            validate_formats=False,
            pattern_options=jsonschema_rs.RegexOptions(),
        )

    def surely_accepts(self, document: Any) -> bool:
        """Whether a document is valid beyond doubt; if not, only the reference can say."""
        try:
            return self._narrowed.is_valid(document)
        except ValueError:
            # It cannot take half a surrogate pair.
            return False

    def fault(self, document: Any) -> str | None:
        """Return what the reference has against a document, or None."""
        return against(self._reference, document)


@cache
def form(name: str) -> Form:
    """Return the form of a schema's name; making one takes a while."""
    return Form(name)
