"""Quix Streams, as its documentation shows: dataframes, `group_by`, `concat`, stateful `apply`.

Jobs are re-keyed by `group_by`, and `concat` lets them and the pushes share one store. That store
is by key and cannot be listed, so the jobs that wait for a push are its rows 0, 1, 2 …, counted
in another: a row per job, not one list that grows, which would be written anew for each job.

Tuned: the commit interval with exactly-once, which its documentation tells to make smaller, for
the second stage reads what the first has committed; the time of a poll, which doubles the speed;
bytes where a value need not be decoded.
"""

from typing import Any, Final

from quixstreams import Application, State

from benchmarks.peers import work

COMMIT_SECONDS: Final = {"exactly-once": 1.0, "at-least-once": 5.0}
"""Five is the default."""

POLL_SECONDS: Final = 0.1
"""One is the default, and with `concat` a poll that does not find 10,000 records lasts so long."""

count = work.Count()


def processed(topic: str, _partition: int, _offset: int) -> None:
    """Count what the join has read."""
    count.begin()
    if topic.startswith("repartition"):
        count.jobs += 1


def judge(raw: bytes) -> dict[str, Any]:
    """Return the raw bytes and the job they are, None for one that is not valid."""
    return {"raw": raw, "job": work.valid(raw)}


def join(value: dict[str, Any], state: State) -> list[dict[str, Any]]:
    """Return what comes of a job or a push with what is known by their key."""
    if "taskId" not in value:
        state.set("push", value)
        waiting = state.get("waiting", 0)
        jobs = [state.get(f"job-{number}") for number in range(waiting)]
        for number in range(waiting):
            state.delete(f"job-{number}")
        if waiting:
            state.delete("waiting")
        return [_joined(job, value) for job in jobs]
    if (push := state.get("push")) is not None:
        return [_joined(value, push)]
    waiting = state.get("waiting", 0)
    state.set(f"job-{waiting}", value)
    state.set("waiting", waiting + 1)
    return []


def _joined(job: Any, push: Any) -> dict[str, Any]:
    return {"job": job, "push": push, "result": work.result(job)}


def main() -> None:
    """Run the application."""
    app = Application(
        broker_address=work.SERVERS,
        consumer_group=work.APP,
        auto_offset_reset="earliest",
        state_dir=work.STATE,
        processing_guarantee=work.GUARANTEE,
        commit_interval=COMMIT_SECONDS[work.GUARANTEE],
        consumer_poll_timeout=POLL_SECONDS,
        on_message_processed=processed,
    )
    inbox = app.topic(work.JOBS, key_deserializer="bytes", value_deserializer="bytes")
    pushes = app.topic(work.PUSHES, key_deserializer="str", value_deserializer="json")
    dead = app.topic(work.DEAD, key_serializer="bytes", value_serializer="bytes")
    joined = app.topic(work.JOINED, key_serializer="str", value_serializer="json")

    judged = app.dataframe(inbox).apply(judge)
    invalid = judged.filter(lambda one: one["job"] is None).apply(lambda one: one["raw"])
    invalid.to_topic(dead, key=lambda _: None)
    valid = judged.filter(lambda one: one["job"] is not None).apply(lambda one: one["job"])
    keyed = valid.group_by(work.push_of, "push", key_serializer="str", key_deserializer="str")
    joins = keyed.concat(app.dataframe(pushes)).apply(join, stateful=True, expand=True)
    joins.to_topic(joined, key=lambda value: value["job"]["taskId"])
    app.run()


if __name__ == "__main__":
    main()
