"""Which stages there are, and what each is made of."""

from pipeline import announcements, jobs
from pipeline.forms import form
from pipeline.joining import INPUTS as JOIN_INPUTS
from pipeline.joining import OUTPUTS as JOIN_OUTPUTS
from pipeline.joining import PENDING, PUSHES, STATES, Join
from pipeline.joining import STAGE as JOIN
from pipeline.runtime.stage import Stage
from pipeline.validation import OUTPUTS as VALIDATE_OUTPUTS
from pipeline.validation import STAGE as VALIDATE
from pipeline.validation import Validation
from pulseload.repositories import Repositories
from pulseload.settings import Settings


def build(settings: Settings) -> list[Stage]:
    """Return the stages that the settings name, in the order of the flow.

    Raises Failure where a schema is broken.
    """
    # All of them now: what is broken is told at the start, not by the first record.
    for name in (*jobs.PROFILES[jobs.ANY], *announcements.FORMS):
        form(name)
    validation = Validation(
        settings.pulse_data_ingestion_sources, Repositories(settings.pulseload_repositories)
    )
    join = Join(
        settings.pending_max_age,
        settings.pending_max_jobs_per_push,
        settings.pending_max_jobs,
        settings.job_memory,
    )
    stages = [
        Stage(VALIDATE, validation.inputs, VALIDATE_OUTPUTS, validation.process),
        Stage(
            JOIN,
            JOIN_INPUTS,
            JOIN_OUTPUTS,
            join.process,
            (PUSHES, PENDING, STATES),
            join.tick,
            join.waiting,
        ),
    ]
    return [stage for stage in stages if stage.name in settings.pulseload_stages]
