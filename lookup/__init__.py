"""Where a job is, what is known of a push, what waits: answers from Kafka alone.

Commands print them, the worker's page shows them.
"""
