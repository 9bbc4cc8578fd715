"""The tests. `examples` has the jobs, pushes and records that they build on."""
