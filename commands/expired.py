"""`pulseload expired`."""

from commands.letter_group import group
from pulseload.topics import JOBS_EXPIRED

expired = group(
    "expired",
    [JOBS_EXPIRED],
    "Jobs that waited too long for their push: list them, show them, send them once more.",
    "push-unknown",
)
