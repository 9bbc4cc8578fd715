"""How property-based tests run here."""

import hypothesis

# No test fails for being slow: it may share its machine.
hypothesis.settings.register_profile(
    "unit", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unit")
