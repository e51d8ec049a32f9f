"""Student's t distribution: how far the mean of a few values may lie from the truth by chance."""

from math import atan, cos, exp, lgamma, pi, sqrt, tan

_INTERVALS = 64  # of Simpson's rule: good to about eight digits
_MOST_STEPS = 100
_PRECISION = 1e-9
_STEEPEST = pi / 2 - 1e-9  # where the tails end


def two_sided_p(t: float, degrees: float) -> float:
    """Return how likely a value at least this far from zero is, on either side.

    Args:
        degrees: Of freedom, at least 1; need not be whole (Welch).
    """
    return _outside(atan(abs(t) / sqrt(degrees)), degrees)


def two_sided_quantile(confidence: float, degrees: float) -> float:
    """Return the distance from zero within which this share of all values lies.

    Args:
        confidence: Up to 0.99, such as 0.95: the integral is not exact enough for more.
        degrees: Of freedom, at least 1.
    """
    # Newton's steps from zero never pass the goal, because the tails fall ever more slowly.
    angle = 0.0
    for _ in range(_MOST_STEPS):
        missing = _outside(angle, degrees) - (1 - confidence)
        step = missing / (2 * _density(degrees) * cos(angle) ** (degrees - 1))
        angle = min(angle + step, _STEEPEST)
        if step < _PRECISION:
            break
    return tan(angle) * sqrt(degrees)


def _outside(angle: float, degrees: float) -> float:
    """The two tails beyond `tan(angle) * sqrt(degrees)`.

    With that substitution the density is a power of the cosine, smooth on a bounded range, so that Simpson's rule does.
    """
    width = angle / _INTERVALS
    power = degrees - 1
    total: float = 1.0 + cos(angle) ** power
    for at in range(1, _INTERVALS):
        total += (4 if at % 2 else 2) * cos(at * width) ** power
    return min(1.0, max(0.0, 1.0 - 2 * _density(degrees) * total * width / 3))


def _density(degrees: float) -> float:
    """At zero, of the angle."""
    return exp(lgamma((degrees + 1) / 2) - lgamma(degrees / 2)) / sqrt(pi)
