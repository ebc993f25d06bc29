"""The keys of ``session.toml``: which there are, what each holds, and which go together."""

from __future__ import annotations

from typing import Any

from dj_neuron.errors import ReadError
from dj_neuron.readers.toml_keys import (
    FILE,
    LABELS,
    SESSION_KINDS,
    STIMULATION_KINDS,
    check_black_and_white,
    check_keys,
    keys_of,
)

SESSION_FILE = "session.toml"

HEADER = """\
# One recording session: made to be read and edited by hand.
# Units are in the names: _s seconds on the recording's clock, _hz per second,
# _um micrometres on the retina, _px screen pixels.
#
# Besides the keys below, a session may have species, subject_description and note, and a table
# [neuron_labels] with lines like neuron_003 = "what the source calls the unit".
# Each stimulation has a table [[stimulations]]; a session without any has none. Its keys:
#   stimulation_number                 its place within the session, from 1
#   movie                              an .npy file (n_frames, n_y, n_x), row 0 at the top, column 0 at the left
#   spikes                             an .npz file, one array of seconds per neuron: neuron_001, neuron_002, ...
#   frame_rate_hz, onset_s             the measured rate, and when the first frame came on the screen;
#                                      where frames are not regular, in place of both:
#   frame_times                        an .npy file of seconds, the starts of all frames and the end of the last
#   last_frame_end_s                   only where frame_times holds the starts alone
#   gaps_s                             [[from, to], ...], stretches without any frame on the screen, if any
#   pixel_size_um                      micrometres per screen pixel
#   block_width_px, block_height_px    size of a block of the movie
#   screen_width_px, screen_height_px  size of the stimulated part of the screen
#   black, white                       values in the movie shown as black and white; two levels need neither
"""

_SESSION_KEYS = keys_of({**SESSION_KINDS, "neuron_labels": LABELS}, "subject_name", "session_date", "sample_number")
_STIMULATION_KEYS = keys_of(
    {**STIMULATION_KINDS, "movie": FILE, "spikes": FILE},
    *("stimulation_number", "movie", "spikes", "pixel_size_um"),
    *("block_width_px", "block_height_px", "screen_width_px", "screen_height_px"),
)


def check_session_table(table: dict[str, Any], place: str) -> None:
    """Check a whole ``session.toml``.

    Parameters
    ----------
    table : dict
        As parsed from TOML.
    place : str
        Names the file in messages.

    Raises
    ------
    ReadError
        If a key is unknown, missing, of the wrong kind, or contradicts another.
    """
    check_keys(table, _SESSION_KEYS, place)
    for number, record in enumerate(table.get("stimulations", []), 1):
        stimulation = f"{place}: stimulation {record.get('stimulation_number', number)!s:.60}"
        check_keys(record, _STIMULATION_KEYS, stimulation)
        _check_timing(record, stimulation)
        check_black_and_white(record, stimulation)


def _check_timing(record: dict[str, Any], place: str) -> None:
    regular: list[str] = [key for key in ("frame_rate_hz", "onset_s") if key in record]
    explicit: list[str] = [key for key in ("frame_times", "last_frame_end_s", "gaps_s") if key in record]
    if not (len(regular) == 2 and not explicit) and not (not regular and "frame_times" in explicit):
        raise ReadError(
            f"{place}: timing is given by {', '.join(regular + explicit) or 'nothing'}, "
            "expected frame_rate_hz and onset_s, or frame_times with or without last_frame_end_s and gaps_s"
        )
