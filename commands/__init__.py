"""The `pulseload` command."""
