"""How much larger than its file a recording may become in memory, whatever its format."""

from __future__ import annotations

MOST_TIMES = 20
"""How many times as many bytes a large file may unfold to."""

_ALWAYS_BYTES = 1 << 26  # any file may unfold to this: 64 MiB


def most_bytes(n_there: int) -> int:
    """How many bytes `n_there` bytes of a file may unfold to."""
    return max(_ALWAYS_BYTES, MOST_TIMES * n_there)
