"""The worker's page: what goes on, where a job is, what is wrong; and `/metrics` and `/healthz`."""
