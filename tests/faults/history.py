"""The checker of histories: where each job that was fed has ended, and what is wrong with that.

A history is what a read-committed reader finds at the end in every topic and table. Counts
alone prove nothing; each id is followed by itself.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Place = Literal["joined", "waiting", "dead-lettered", "expired", "suppressed"]


class Fed(NamedTuple):
    """One job that was fed: its push's key, where it must end, in the order of feeding."""

    job_id: str
    push_key: str
    place: Place


class Joined(NamedTuple):
    """One record of `jobs.joined`: the job, its own push key, and the push it was joined with."""

    job_id: str
    push_key: str
    joined_with: str


@dataclass
class History:
    """What was found at the end. Each list keeps the order of its partition."""

    joined: list[Joined] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    dead_lettered: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    suppressed: list[str] = field(default_factory=list)

    def places(self) -> Mapping[Place, list[str]]:
        """Return the ids found in each place."""
        return {
            "joined": [one.job_id for one in self.joined],
            "waiting": self.waiting,
            "dead-lettered": self.dead_lettered,
            "expired": self.expired,
            "suppressed": self.suppressed,
        }


def problems(fed: Iterable[Fed], history: History) -> list[str]:
    """Return what is wrong with a history, one line each; none if all is well.

    Each id fed is in exactly one place, once, and the right one; nothing else is anywhere;
    within a push the joined jobs stand in the order they were fed; each was joined with its
    own push.
    """
    jobs = {job.job_id: job for job in fed}
    order = {job_id: index for index, job_id in enumerate(jobs)}
    wrong: list[str] = []
    seen: dict[str, Counter[Place]] = defaultdict(Counter)
    for place, ids in history.places().items():
        for job_id in ids:
            seen[job_id][place] += 1
    for job_id, job in jobs.items():
        found = seen.pop(job_id, Counter())
        if not found:
            wrong.append(f"{job_id} is lost: it should be {job.place}")
        elif found != {job.place: 1}:
            wrong.append(f"{job_id} should be {job.place} once, is {dict(found)}")
    wrong += [f"{job_id} was never fed, but is {dict(found)}" for job_id, found in seen.items()]
    latest: dict[str, int] = {}
    for one in history.joined:
        if one.push_key != one.joined_with:
            wrong.append(f"{one.job_id} of {one.push_key} was joined with {one.joined_with}")
        if one.job_id in order:
            if order[one.job_id] < latest.get(one.push_key, -1):
                wrong.append(f"{one.job_id} of {one.push_key} came out of order")
            latest[one.push_key] = max(latest.get(one.push_key, -1), order[one.job_id])
    return wrong
