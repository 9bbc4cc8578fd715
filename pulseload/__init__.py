"""The ground that bridges, pipeline and commands stand on: settings, topics, headers."""

__version__ = "0.1.0"
