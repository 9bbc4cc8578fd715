"""The push logs of hg repositories, read by polling, into `pushes.inbox`.

`position` is pure, `answers` and `records` too: from bytes to what is written. Around them are
`client` (HTTP), `ledger` (Kafka), `poller` (one repository) and `bridge` (all of them).
"""
