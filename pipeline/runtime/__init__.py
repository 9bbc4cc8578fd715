"""Partition batches as transactions, tables and their changelogs. Knows nothing of jobs."""
