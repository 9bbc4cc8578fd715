"""The Faust application: agents over pure stages, and the runtime that makes them exactly-once."""
