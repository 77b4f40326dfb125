"""One batch of images: read, hash, decode once, measure. A pure function of addresses.

It runs in a thread, in another process or on another machine; `engine.py` hands batches out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import EawError, ImageError
from ..images.address import is_frame, read_bytes, shown
from ..images.decode import Decoder, encode_jpeg
from .hashes import content_hash
from .registry import MetricSpec

METRICS, VECTORS, THUMBNAILS = "metrics", "vectors", "thumbnails"
WANT_ALL = (METRICS, VECTORS, THUMBNAILS)
"""What a batch can be asked for; metrics include the perceptual hash."""

Crops = tuple[npt.NDArray[np.uint32], npt.NDArray[np.float64]]

_CHANGED = "The file has changed since it was added to the project."


@dataclass(frozen=True, slots=True)
class Problem:
    """One image, or one custom metric on one image, that could not be computed."""

    content_hash: str
    address: str
    what: str
    why: str
    remedy: str


@dataclass
class PixelBatch:
    """Results in column form: row k of everything belongs to `content_hash[k]`.

    Images that could not be read have no row, only a problem. Of what was not wanted,
    `metrics` is empty, `phash` and `vectors` have no rows, `thumbnails` is empty. Row k of
    the crops belongs to the object `crop_rows[k]`; one that lies outside its image has NaN.
    """

    content_hash: list[str] = field(default_factory=list)
    metrics: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    phash: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    vectors: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    thumbnails: list[bytes] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    custom: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    crop_rows: npt.NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    crop_metrics: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    crop_vectors: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def __len__(self) -> int:
        return len(self.content_hash)


def compute_batch(
    addresses: Sequence[str],
    hashes: Sequence[str],
    custom: Sequence[MetricSpec] = (),
    want: Sequence[str] = WANT_ALL,
    crops: Sequence[Crops | None] | None = None,
) -> PixelBatch:
    """Compute everything that needs pixels, for some images and the objects on them.

    Parameters
    ----------
    addresses : sequence of str
        Where each image lies.
    hashes : sequence of str
        The content hash each had when it was added; "" accepts any content.
    custom : sequence of MetricSpec
        Registered functions of pixels.
    want : sequence of str
        A choice of `"metrics"`, `"vectors"`, `"thumbnails"`.
    crops : sequence of (rows, boxes) or None, optional
        For each image the objects on it: ordinals (k,), and x0, y0, x1, y1 in pixels (k, 4).

    Returns
    -------
    PixelBatch
        A row for each image that could be read, a problem for each that could not.
    """
    from .pixels import PIXEL_METRICS, measure

    n = len(addresses)
    built_in = any(part in want for part in WANT_ALL)
    values = np.empty((n, len(PIXEL_METRICS)), np.float32)
    vectors = np.empty((n, _dimension()), np.float32)
    phash = np.empty(n, np.uint64)
    own = np.full((n, len(custom)), np.nan, np.float32)
    batch = PixelBatch()
    failed: set[str] = set()
    decoder = _decoder
    row = 0
    cut = _Cutter()
    for i, (address, expected) in enumerate(zip(addresses, hashes, strict=True)):
        try:
            data = read_bytes(address)
            found = identity(address, data, expected)
            if expected and found != expected:
                raise ImageError(_CHANGED, "Call p.refresh() to take the new content.")
            pixels, plain = decoder.decode(data)
            if built_in:
                measured = measure(
                    pixels,
                    thumbnail=THUMBNAILS in want,
                    values=values[row],
                    vector=vectors[row],
                )
                phash[row] = measured.phash
                if THUMBNAILS in want:
                    batch.thumbnails.append(_thumbnail(data, plain, pixels, measured.thumbnail))
        except EawError as error:
            batch.problems.append(Problem(expected, address, "image", error.message, error.remedy))
            continue
        except MemoryError:
            batch.problems.append(
                Problem(
                    expected,
                    address,
                    "image",
                    "There is not enough memory to decode it.",
                    "Close other programs or use fewer workers, then call p.compute() again.",
                )
            )
            continue
        mine = crops[i] if crops is not None else None
        if mine is not None:
            cut.take(pixels, mine, found, address, batch.problems)
        batch.content_hash.append(found)
        for k, spec in enumerate(custom):
            own[row, k] = _custom_value(spec, pixels, found, address, batch.problems, failed)
        row += 1
    if METRICS in want:
        batch.metrics = {name: values[:row, k].copy() for k, name in enumerate(PIXEL_METRICS)}
        batch.phash = phash[:row]
    if VECTORS in want:
        batch.vectors = vectors[:row]
    batch.custom = {spec.name: own[:row, k].copy() for k, spec in enumerate(custom)}
    cut.hand_over(batch)
    return batch


class _Cutter:
    """Measures the crops of objects while their image is decoded."""

    def __init__(self) -> None:
        self._rows: list[npt.NDArray[np.uint32]] = []
        self._values: list[npt.NDArray[np.float32]] = []
        self._vectors: list[npt.NDArray[np.float32]] = []

    def take(
        self, pixels: npt.NDArray[np.uint8], crops: Crops, found: str, address: str, problems: list[Problem]
    ) -> None:
        """Measure the objects on one image; what does not touch it is listed once."""
        from .pixels import PIXEL_METRICS, measure

        rows, boxes = crops
        values = np.full((len(rows), len(PIXEL_METRICS)), np.nan, np.float32)
        vectors = np.full((len(rows), _dimension()), np.nan, np.float32)
        height, width = pixels.shape[:2]
        low = np.clip(np.floor(boxes[:, :2]), 0, [width, height]).astype(np.int64)
        high = np.clip(np.ceil(boxes[:, 2:]), 0, [width, height]).astype(np.int64)
        outside = 0
        for k in range(len(rows)):
            (x0, y0), (x1, y1) = low[k], high[k]
            if x1 <= x0 or y1 <= y0:
                outside += 1
                continue
            crop = np.ascontiguousarray(pixels[y0:y1, x0:x1])
            measure(crop, thumbnail=False, values=values[k], vector=vectors[k])
        if outside:
            why = f"{outside} of its objects lie outside of it ({width} × {height} px)."
            problems.append(Problem(found, address, "objects", why, "Correct or delete these labels."))
        self._rows.append(np.asarray(rows, np.uint32))
        self._values.append(values)
        self._vectors.append(vectors)

    def hand_over(self, batch: PixelBatch) -> None:
        """Put the crops into the batch."""
        from .pixels import PIXEL_METRICS

        if self._rows:
            values = np.concatenate(self._values)
            batch.crop_rows = np.concatenate(self._rows)
            batch.crop_metrics = {name: values[:, k].copy() for k, name in enumerate(PIXEL_METRICS)}
            batch.crop_vectors = np.concatenate(self._vectors)


def identity(address: str, data: bytes, expected: str) -> str:
    """Return the content hash of an image; a video frame keeps the one that its file and time gave it."""
    return expected if expected and is_frame(address) else content_hash(data)


# One buffer for each thread that decodes; a cache, not state that anything depends on.
_decoder = Decoder()


def _dimension() -> int:
    from ..embeddings.descriptor import DESCRIPTOR_DIM

    return DESCRIPTOR_DIM


def _thumbnail(
    data: bytes,
    plain: object | None,
    pixels: npt.NDArray[np.uint8],
    small: npt.NDArray[np.uint8] | None,
) -> bytes:
    """Encode the small copy; a small, upright JPEG or PNG is its own thumbnail."""
    from ..images.thumbnails import MOST_PASSED_BYTES, THUMBNAIL_QUALITY

    if small is None:
        if plain is not None and len(data) <= MOST_PASSED_BYTES:
            return data
        small = pixels
    return encode_jpeg(small, THUMBNAIL_QUALITY)


def _custom_value(
    spec: MetricSpec,
    pixels: npt.NDArray[np.uint8],
    found: str,
    address: str,
    problems: list[Problem],
    failed: set[str],
) -> float:
    """Call a custom metric; its first failure in a batch becomes a problem, its value NaN."""
    assert spec.function is not None
    try:
        # A copy: the function may keep or change its argument, the buffer is used again.
        return float(spec.function(pixels.copy()))
    except Exception as error:  # noqa: BLE001 - whatever a user's function raises
        if spec.name not in failed:
            failed.add(spec.name)
            problems.append(
                Problem(
                    found,
                    address,
                    f'metric "{spec.name}"',
                    f"{type(error).__name__}: {error} (on {shown(address)}, perhaps on others).",
                    "Correct the function, raise its version and call p.compute() again.",
                )
            )
        return float("nan")


def merge(batches: Sequence[PixelBatch]) -> PixelBatch:
    """Join batches into one."""
    if len(batches) == 1:
        return batches[0]
    filled = [b for b in batches if len(b)]
    first = filled[0] if filled else PixelBatch()
    return PixelBatch(
        content_hash=[h for b in batches for h in b.content_hash],
        metrics={k: np.concatenate([b.metrics[k] for b in filled]) for k in first.metrics},
        phash=np.concatenate([b.phash for b in filled]) if filled else first.phash,
        vectors=np.concatenate([b.vectors for b in filled]) if filled else first.vectors,
        thumbnails=[t for b in batches for t in b.thumbnails],
        problems=[p for b in batches for p in b.problems],
        custom={k: np.concatenate([b.custom[k] for b in filled]) for k in first.custom},
        **_merged_crops([b for b in batches if b.crop_rows.size]),
    )


def _merged_crops(batches: Sequence[PixelBatch]) -> dict[str, Any]:
    if not batches:
        return {}
    names = batches[0].crop_metrics
    return {
        "crop_rows": np.concatenate([b.crop_rows for b in batches]),
        "crop_metrics": {k: np.concatenate([b.crop_metrics[k] for b in batches]) for k in names},
        "crop_vectors": np.concatenate([b.crop_vectors for b in batches]),
    }
