"""What else could do the work: a module for each peer, which is a program of its own.

A program runs in the peer's own environment, not in pulseload's, and is told by its environment
variables what `work` reads. It reads `jobs.inbox` and `pushes.inbox`, and writes `jobs.joined` and
`jobs.dead-letter`; topics and state of its own it makes itself. It prints `ready` once it has its
partitions and its state, and `joining N` now and then, N being how many jobs its join has read. It
ends with status 0 on SIGTERM.
"""
