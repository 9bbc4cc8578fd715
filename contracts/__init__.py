"""What pulseload promises of its topics, told once, for AsyncAPI tools and for people.

`python -m contracts` writes `docs/asyncapi.yml` and `docs/contracts.md`.
"""
