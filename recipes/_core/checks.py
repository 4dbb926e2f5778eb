"""Refusals of values out of range, worded alike everywhere."""


def require(holds: bool, name: str, value: object, allowed: str) -> None:
    """Raise ValueError `name must be ALLOWED, got VALUE` unless the condition holds."""
    if not holds:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")


def require_at_least_0(name: str, value: float) -> None:
    """For strengths that scale a term: any number from 0 up."""
    require(value >= 0, name, value, "at least 0")


def require_share(name: str, value: float) -> None:
    """For probabilities and rates that must leave something over: [0, 1)."""
    require(0 <= value < 1, name, value, "in [0, 1)")
