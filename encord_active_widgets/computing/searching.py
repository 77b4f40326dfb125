"""`Project.search` and `View.search`: the items nearest to an image, a text or a vector."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..embeddings.embedder import Bound, named
from ..errors import ImageError, InputError, known_name, whole_number
from ..images.address import is_frame, scheme, video_of
from ..images.fit import fit_to
from .embedding_set import DESCRIPTOR
from .given_vectors import image_pixels, image_vector
from .vectors import EmbeddingSets

if TYPE_CHECKING:
    from ..view import View
    from .embedding_set import Rows

_IMAGE_ENDINGS = frozenset(
    (".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp", ".avif", ".jp2", ".heic")
)
_SAY_TEXT = "For a text write p.search(text=…)."


def search(
    sets: EmbeddingSets,
    image: Any,
    *,
    text: str | None = None,
    vector: Any = None,
    k: int = 10,
    embedding: str | None = None,
    embedder: Any = None,
    within: Rows | None = None,
) -> View:
    """Find the rows of a level nearest to one of the three; see `Project.search`."""
    if sum(given is not None for given in (image, text, vector)) != 1:
        raise InputError("search needs an image, a text or a vector.", "Give one of the three.")
    if isinstance(image, str) and not image.strip():
        raise InputError("There is nothing to search for: the text is empty.", 'Say what: p.search("a dark street").')
    k = whole_number("k", k)
    guessed = isinstance(image, str) and not _is_image(image)
    if guessed:
        image, text = None, image
    if vector is not None:
        return sets.search(vector, k, embedding, within=within)
    if text is not None:
        return _by_text(sets, text, k, embedding, embedder, within, guessed=guessed)
    if embedding in (None, DESCRIPTOR) and embedder is None:
        return sets.search(image_vector(image), k, DESCRIPTOR, within=within)
    name, bound = _chosen(sets, embedding, embedder, needs_text=False)
    pixels = image_pixels(image)
    fitted = pixels if bound.size is None else fit_to(pixels, bound.size, bound.fit)
    return sets.search(bound.images([fitted], "one image"), k, name, within=within)


def _by_text(
    sets: EmbeddingSets, text: Any, k: int, embedding: str | None, embedder: Any, within: Rows | None, *, guessed: bool
) -> View:
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{text!r} is no text to search for.", 'Write what you look for: p.search("a dark street").')
    try:
        name, bound = _chosen(sets, embedding, embedder, needs_text=True, text=text)
    except InputError as error:
        if not guessed:
            raise
        raise InputError(f"There is no image {text!r}, so it is a text. {error.message}", error.remedy) from error
    return sets.search(bound.texts([text]), k, name, within=within)


def _is_image(address: str) -> bool:
    """Tell an address of an image from a text; what looks like an address and is not there raises."""
    if scheme(address) is not None:
        return True
    path = Path(video_of(address)) if is_frame(address) else Path(address)
    try:
        if path.is_dir():
            raise ImageError(f'"{address}" is a folder, not an image.', f"Give one of its files. {_SAY_TEXT}")
        if path.exists():
            return True
    except (OSError, ValueError):  # too long for a path, or with a zero byte in it
        return False
    separated = os.sep in address or (os.altsep is not None and os.altsep in address)
    looks = path.suffix.lower() in _IMAGE_ENDINGS or is_frame(address) or path.is_absolute()
    if looks or (separated and not any(c.isspace() for c in address)):
        raise ImageError(f'There is no image at "{address}".', f"Check the path. {_SAY_TEXT}")
    return False


def _chosen(
    sets: EmbeddingSets, embedding: str | None, embedder: Any, *, needs_text: bool, text: str = ""
) -> tuple[str, Bound]:
    """Return the set to search in and the embedder of the query."""
    if embedding is not None:
        known_name("embedding", embedding, list(sets))
    if embedding == DESCRIPTOR:
        if embedder is not None:
            raise InputError(
                "The built-in descriptor is not made by an embedder.", "Name the set of yours with embedding=…."
            )
        raise InputError("The built-in descriptor knows no texts.", _way_to_text(text))
    if embedder is not None:
        return _given(sets, embedding, embedder, needs_text=needs_text)
    names = [embedding] if embedding is not None else list(sets.at_hand)[::-1]
    for name in names:
        bound = sets.at_hand.get(name)
        if bound is not None and name in sets and (bound.has_text or not needs_text):
            return name, bound
    raise _not_at_hand(sets, embedding, needs_text=needs_text, text=text)


def _given(sets: EmbeddingSets, embedding: str | None, embedder: Any, *, needs_text: bool) -> tuple[str, Bound]:
    """Take the embedder that the call brings, in the size its set was made with."""
    plain = Bound.of(embedder)
    if needs_text and not plain.has_text:
        raise InputError(f'The embedder "{named(embedder)}" has no text tower.', "Give one that has embed_text.")
    found = []
    for name in [embedding] if embedding is not None else [n for n in sets if n != DESCRIPTOR]:
        record = sets.made_by(name) or {}
        size, fit = record.get("size"), record.get("fit")
        same_size = plain.size is None or size is None or list(plain.size) == size
        bound = Bound.of(embedder, tuple(size) if size and same_size else None, fit)
        if bound.is_that_of(record):
            found.append((name, bound))
    if len(found) == 1:
        name, bound = found[0]
        sets.keep_embedder(name, bound)
        return name, bound
    if embedding is not None:
        return embedding, plain  # vectors that were assigned: the user says what made them
    what = "more than one set" if found else "no set"
    raise InputError(
        f'The embedder "{named(embedder)}" made {what} here.',
        f"Name the set with embedding=…: {', '.join(n for n in sets if n != DESCRIPTOR) or 'there is none yet'}.",
    )


def _not_at_hand(sets: EmbeddingSets, embedding: str | None, *, needs_text: bool, text: str) -> InputError:
    records = {n: sets.made_by(n) for n in sets if n != DESCRIPTOR}
    if embedding is not None:
        record, bound = records.get(embedding), sets.at_hand.get(embedding)
        if bound is not None:
            return InputError(
                f'"{embedding}" was made by "{named(bound.embedder)}", which has no text tower.', _way_to_text(text)
            )
        made = f'made by "{record["name"]}" ({record["kind"]})' if record else "assigned"
        what = "a text" if needs_text else "an image"
        return InputError(
            f'The vectors of "{embedding}" were {made}; to search {what} in them, its embedder must be at hand.',
            f'Pass it: p.search(…, embedding="{embedding}", embedder=…), or pass vector=….',
        )
    with_text = [f'"{n}" ({r["kind"]} "{r["name"]}")' for n, r in records.items() if r and r.get("text")]
    if with_text:
        return InputError(
            "To search a text, the embedder of the images must be at hand in this session.",
            f"Pass the one that made {' or '.join(with_text)}: p.search(text=…, embedder=…).",
        )
    return InputError(
        "No embeddings here were made by an embedder with a text tower, which a search for a text needs.",
        _way_to_text(text),
    )


def _way_to_text(text: str) -> str:
    return (
        'Embed the images with one: p.embed("clip", ea.embedders.clip("folder/of/the/model")), '
        f"then p.search(text={text!r})."
    )
