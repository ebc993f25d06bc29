"""The movie of a stimulus series: its frames, left in the file where they are large, and how large its blocks are."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ReadError
from dj_neuron.readers import contract_errors_at
from dj_neuron.readers.hdf5_frames import Hdf5Frames, Hdf5Images, ImageFrames, IndexedFrames, measure
from dj_neuron.readers.movie_record import movie_of
from dj_neuron.readers.nwb.sidecar import AXES, CHANNELS, GEOMETRY
from dj_neuron.readers.nwb.timing import as_written

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pynwb.base import Images, TimeSeries
    from pynwb.image import IndexSeries

    from dj_neuron.contracts import Movie
    from dj_neuron.contracts.movie import Slices
    from dj_neuron.readers.nwb.sidecar import Sidecar

_IN_MEMORY_BYTES = 1 << 28  # frames up to this size are read at once: 256 MiB
_WIDEST_RETINA_M = 0.05


def is_movie(series: Any) -> bool:
    """Tell whether an object under stimulus presentation shows images over time."""
    from pynwb.base import TimeSeries  # noqa: PLC0415 - optional, and slow to import
    from pynwb.image import ImageSeries, IndexSeries  # noqa: PLC0415

    if isinstance(series, ImageSeries | IndexSeries):
        return True
    return isinstance(series, TimeSeries) and len(np.shape(series.data)) in {3, 4}


def movie_of_series(
    series: TimeSeries, said: dict[str, Any], sidecar: Sidecar, place: str
) -> tuple[Movie, float, list[str]]:
    """Give the movie of a series, the size of its pixels, and what a person should know.

    Parameters
    ----------
    series : pynwb.TimeSeries
        One that :func:`is_movie`.
    said : dict
        What the sidecar, or a file that dj-neuron wrote, says about the stimulation.

    Returns
    -------
    Movie
    float
        Micrometres on the retina per screen pixel.
    list of str
        Remarks.

    Raises
    ------
    ReadError
        If there are no frames in the file, or contrast or sizes are not known.
    """
    from pynwb.image import IndexSeries  # noqa: PLC0415 - optional, and slow to import

    shown = series.indexed_timeseries if isinstance(series, IndexSeries) else series
    if shown is None:
        stored, scale = _at_once(_images(series.indexed_images, place)), (1.0, 0.0)
    else:
        stored, scale = _at_once(_stored(shown, sidecar, place)), (float(shown.conversion), float(shown.offset or 0.0))
    channel = _channel(stored, said, sidecar, place)
    source = stored if shown is series else IndexedFrames(stored, _indexes(series, stored.shape[0], place))
    axes = said.get("axes", AXES[0])
    frames = ImageFrames(source, transposed=axes == AXES[1], channel=channel, scale=scale)
    sizes, size_remark = _sizes(getattr(shown, "field_of_view", None), frames.shape, said, sidecar, place)
    with contract_errors_at(place):
        try:
            movie = movie_of(_at_once(frames), {**said, **sizes})
        except ValueError as error:
            if "black" in said or "values of black and white" not in str(error):
                raise
            raise ReadError(f"{place}: {error}, under [[stimulations]] in {sidecar.path.name}") from error
    remarks = [f"axes taken as ({axes})"] if "axes" not in said else []
    remarks += [size_remark] if size_remark else []
    return movie, sizes["pixel_size_um"], remarks


def _stored(series: TimeSeries, sidecar: Sidecar, place: str) -> Slices:
    external = getattr(series, "external_file", None)
    if external is not None and len(external):
        raise ReadError(
            f"{place}: its frames are outside, in {external[0]!s:.80}, expected frames in the NWB file (or leave the "
            f"series out: [[stimulations]] in {sidecar.path.name} name those to take)"
        )
    shape = np.shape(series.data)
    if len(shape) not in {3, 4} or 0 in shape:
        raise ReadError(f"{place}: {series.name} holds an array of {shape}, expected frames (time, y, x)")
    measure(series.data, place, in_slices=True)
    return Hdf5Frames(series.data) if hasattr(series.data, "file") else np.asarray(series.data)


def _images(images: Images, place: str) -> Slices:
    if images.order_of_images is None:
        raise ReadError(f"{place}: the images of {images.name} have no order, expected order_of_images")
    found = [image.data for image in images.order_of_images]
    if not found or len({image.shape for image in found}) > 1:
        raise ReadError(f"{place}: the images of {images.name} differ in shape or there is none, expected one shape")
    for image in found:
        measure(image, place)
    return Hdf5Images(found) if hasattr(found[0], "file") else np.stack(found)


def _at_once(frames: NDArray[Any] | Slices) -> NDArray[Any] | Slices:
    is_small = math.prod(frames.shape) * frames.dtype.itemsize <= _IN_MEMORY_BYTES
    return np.asarray(frames[slice(None)]) if is_small else frames


def _indexes(series: IndexSeries, n_templates: int, place: str) -> NDArray[np.int64]:
    measure(series.data, place)
    shown = np.asarray(series.data[:])
    outside = np.flatnonzero((shown < 0) | (shown >= n_templates) | (shown != np.round(shown)))
    if outside.size:
        raise ReadError(
            f"{place}: frame {outside[0]} shows template {shown[outside[0]]}, expected 0 to {n_templates - 1}"
        )
    return shown.astype(np.int64)


def _channel(stored: NDArray[Any] | Slices, said: dict[str, Any], sidecar: Sidecar, place: str) -> int | None:
    is_coloured = len(stored.shape) == 4
    if is_coloured and stored.shape[3] == 1:
        return 0
    if is_coloured and (stored.shape[3] not in {3, 4} or "channel" not in said):
        raise ReadError(
            f"{place}: frames have {stored.shape[3]} values per pixel, expected one, or red, green and blue with "
            f"{sidecar.hint('channel')}"
        )
    if not is_coloured and "channel" in said:
        raise ReadError(f"{place}: channel is {said['channel']}, but the frames have no colours, expected none")
    return CHANNELS.index(said["channel"]) if is_coloured else None


def _sizes(
    field_of_view: Any, shape: tuple[int, ...], said: dict[str, Any], sidecar: Sidecar, place: str
) -> tuple[dict[str, Any], str]:
    """Sizes as they are said, else from the width and height of the image on the retina."""
    if GEOMETRY[0] in said:
        return {key: said[key] for key in GEOMETRY}, ""
    hint = f"expected {sidecar.hint(*GEOMETRY)}"
    if field_of_view is None:
        raise ReadError(f"{place}: no field_of_view tells how large the image was on the retina, {hint}")
    _, n_y, n_x = shape
    lengths_m = [as_written(length) for length in field_of_view[:2]]
    if not all(0 < length <= _WIDEST_RETINA_M for length in lengths_m):
        raise ReadError(
            f"{place}: field_of_view is {lengths_m[0]:g} x {lengths_m[1]:g} m, which is no size on a retina, {hint}"
        )
    width_m, height_m = (Fraction(str(length)) for length in lengths_m)
    width_um, height_um = width_m * 10**6 / n_x, height_m * 10**6 / n_y
    if n_x != n_y and _near(width_m * n_x, height_m * n_y) and "axes" not in said:
        raise ReadError(
            f"{place}: field_of_view makes blocks square only where the axes are (time, x, y), expected "
            f"{sidecar.hint('axes')}"
        )
    pixel_um = min(width_um, height_um)
    blocks = [round(length / pixel_um) for length in (width_um, height_um)]
    if not all(_near(n * pixel_um, length) for n, length in zip(blocks, (width_um, height_um), strict=True)):
        raise ReadError(
            f"{place}: field_of_view makes blocks of {float(width_um):g} x {float(height_um):g} um, whose sides are no "
            f"multiples of a pixel, {hint}"
        )
    sizes = {"pixel_size_um": float(pixel_um), "block_width_px": blocks[0], "block_height_px": blocks[1]}
    return sizes, (
        f"blocks of {float(width_um):g} x {float(height_um):g} um, from field_of_view "
        f"({lengths_m[0] * 1e6:g} x {lengths_m[1] * 1e6:g} um)"
    )


def _near(a: Fraction, b: Fraction) -> bool:
    return abs(a - b) <= Fraction(1, 1000) * b
