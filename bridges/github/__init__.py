"""The bridge that asks GitHub for what Pulse does not say of its pushes."""
