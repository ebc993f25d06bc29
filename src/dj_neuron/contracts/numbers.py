"""Numbers as people read them: with their standard error, to its second digit."""

from __future__ import annotations

import math

UNKNOWN = "\N{EM DASH}"
_MINUS = "\N{MINUS SIGN}"
_MOST_DECIMALS = 6


def number_text(value: float, error: float = math.nan) -> str:
    """Write a number and its standard error to the error's second digit; three digits without an error."""
    if not math.isfinite(value):
        return UNKNOWN
    if not (math.isfinite(error) and error > 0):
        text = f"{value:#.3g}".removesuffix(".") if abs(value) < 1000 else f"{value:,.0f}"
        return text.replace("-", _MINUS)
    decimals = min(max(1 - math.floor(math.log10(error)), 0), _MOST_DECIMALS)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}".replace("-", _MINUS)
