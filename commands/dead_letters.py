"""`pulseload dead-letters`."""

from commands.letter_group import group
from pulseload.topics import JOBS_DEAD_LETTER, PUSHES_DEAD_LETTER

dead_letters = group(
    "dead-letters",
    [JOBS_DEAD_LETTER, PUSHES_DEAD_LETTER],
    "What could not be used: list it, show it, send it once more.",
    "invalid-job",
)
