"""What the page measured of its host, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .finding import Finding, verdict
from .host import here, remedy

_SLOW_MS = 1000
_TEXT = 4 / 3
"""How much longer base64 is than the bytes it spells."""
_AGAIN = "run this cell again; if it stays so, use a newer version of this host, and tell us its name"


def live_rows(facts: Mapping[str, Any]) -> list[Finding]:
    """Judge what a page measured.

    Parameters
    ----------
    facts : mapping
        As the page sends them (`js/src/state/host-check.ts`), and `during_cell`. What is missing or of another type
        counts as failed: a page of another version may have sent it.
    """
    host = here(str(facts.get("host") or "")).found
    trip, traits = _number(facts.get("round_trip_ms")), _number(facts.get("traits_ms"))
    look = "dark" if facts.get("dark") else "light"
    return [
        Finding("page", f"answers, {look}"),
        _messages(trip, host),
        _bytes("bytes to the kernel", facts.get("up"), facts.get("up_failed"), "of text", _TEXT),
        _bytes("bytes to the page", facts.get("down"), facts.get("down_failed"), _forms(facts.get("bytes_as")), 1),
        Finding("shared state", f"there and back in {traits:,.0f} ms")
        if traits is not None
        else Finding("shared state", "changes do not arrive", False, _AGAIN),
        Finding("unasked messages", "arrive" if facts.get("unasked") else "do not arrive: the explorer asks instead"),
        Finding("while a cell runs", "the kernel answers")
        if facts.get("during_cell")
        else Finding("while a cell runs", "messages wait: filters and lassos work, tags are saved when it ends"),
        _drawing(str(facts.get("drawing"))),
    ]


def judge(facts: Mapping[str, Any], rows: Sequence[Finding]) -> dict[str, Any]:
    """Return what the page shows: the verdict, what is wrong with the installation, and what it measured itself."""
    live = live_rows(facts)
    host = here(str(facts.get("host") or ""))
    whole = verdict(host.found, [*rows, host, *live], answered=True)
    shown = [*(row for row in (*rows, host) if not row.ok), *live]
    return {"well": whole.ok, "text": whole.found, "rows": [row._asdict() for row in shown]}


def silent(host: str) -> list[Finding]:
    """Return the row for a page that has not answered yet: the cell has to end first."""
    advice = f"the box below the cell shows the verdict, the next ea.doctor() lists it; if it is empty: {remedy(host)}"
    return [Finding("page", "answers when this cell has ended", True, advice)]


def _messages(trip: float | None, host: str) -> Finding:
    if trip is None:
        return Finding("messages", "do not come through", False, remedy(host))
    slow = "a slow connection: each tag and page of thumbnails takes as long" if trip > _SLOW_MS else ""
    return Finding("messages", f"there and back in {trip:,.0f} ms", True, slow)


def _bytes(check: str, sent: Any, failed: Any, how: str, longer: float) -> Finding:
    done = [s for s in sent if isinstance(s, dict) and _number(s.get("bytes"))] if isinstance(sent, list) else []
    largest = max(done, key=lambda s: float(s["bytes"]), default=None)
    if failed or largest is None:
        return Finding(check, str(failed or "nothing was sent"), False, _AGAIN)
    size, ms = longer * float(largest["bytes"]) / 2**20, _number(largest.get("ms")) or 0
    return Finding(check, f"{size:.3g} MiB {how}, in {ms:,.0f} ms")


def _forms(kinds: Any) -> str:
    names = [str(k) for k in kinds] if isinstance(kinds, list) else []
    return f"as {' and '.join(names)}" if names else "in no form"


def _drawing(found: str) -> Finding:
    hint = "" if found == "WebGL2" else "switch hardware acceleration on for maps of more than 50,000 points"
    return Finding("drawing", found, True, hint)


def _number(value: Any) -> float | None:
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if numeric else None
