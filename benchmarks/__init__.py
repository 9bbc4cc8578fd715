"""How fast pulseload is, beside its peers, on real brokers: `bin/bench`.

A measurement is a module with one function, `measure(ground, size)`, that returns its result.
Every figure is taken of the programs as users start them, and counts only after what came out
was found to be right.
"""
