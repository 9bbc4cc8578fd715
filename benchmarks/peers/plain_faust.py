"""Plain Faust, as its documentation teaches: agents that take event by event, and tables.

Jobs are re-keyed by sending them on to a topic with the push as key. A job that waits for its push
is a row of its own, numbered from 0 for each push, as a table cannot be searched by prefix; a list
that grows would be written anew for each job.

At least once, Faust's default. With `processing_guarantee="exactly_once"` 400 jobs came out, but
of 9,000, in the one run tried, the second agent got 8,896 of 8,910 that are valid and then no more;
why was not found. Tuned: nothing but the store, RocksDB by rocksdict.
"""

from typing import Any, Final

import faust

from benchmarks.peers import work

app: Final = faust.App(
    work.APP,
    broker=f"kafka://{work.SERVERS}",
    store="rocksdb://",
    datadir=work.STATE,
    topic_partitions=work.PARTITIONS,
    processing_guarantee=work.GUARANTEE.replace("-", "_"),
)
inbox: Final = app.topic(work.JOBS, value_serializer="raw")
valid: Final = app.topic(f"{work.APP}-valid", key_type=str, value_serializer="json", internal=True)
announced: Final = app.topic(work.PUSHES, key_type=str, value_serializer="json")
joined: Final = app.topic(work.JOINED, key_type=str, value_serializer="json")
dead: Final = app.topic(work.DEAD, value_serializer="raw")

_ROCKSDICT: Final = {"driver": "rocksdict"}
pushes: Final = app.Table("known-pushes", options=_ROCKSDICT)
waiting: Final = app.Table("waiting-jobs", options=_ROCKSDICT)
numbers: Final = app.Table("waiting-numbers", default=int, options=_ROCKSDICT)

count: Final = work.Count()


@app.agent(inbox)  # type: ignore[untyped-decorator]
async def validate(jobs: faust.Stream) -> None:
    """Judge jobs and send them on by their pushes."""
    async for raw in jobs:
        count.begin()
        if (job := work.valid(raw)) is None:
            await dead.send(value=raw)
        else:
            await valid.send(key=work.push_of(job), value=job)


@app.agent(valid)  # type: ignore[untyped-decorator]
async def join_jobs(jobs: faust.Stream) -> None:
    """Join jobs with pushes that are known; let the others wait."""
    async for key, job in jobs.items():
        push = pushes.get(key)
        if push is not None:
            await _join(job, push)
        else:
            number = numbers[key]
            waiting[f"{key} {number}"] = job
            numbers[key] = number + 1
        count.jobs += 1


@app.agent(announced)  # type: ignore[untyped-decorator]
async def join_pushes(stream: faust.Stream) -> None:
    """Remember pushes, and join the jobs that have waited for them."""
    async for key, push in stream.items():
        count.begin()
        pushes[key] = push
        number = numbers[key]
        for one in range(number):
            await _join(waiting.pop(f"{key} {one}"), push)
        if number:
            del numbers[key]


async def _join(job: dict[str, Any], push: dict[str, Any]) -> None:
    value = {"job": job, "push": push, "result": work.result(job)}
    await joined.send(key=job["taskId"], value=value)
