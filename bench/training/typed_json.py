"""JSON files whose content is typed when it is read, and which carry a digest of it."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
SEAL = re.compile(rb'"digest":"([0-9a-f]{16})",?')


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def digest_of(content: dict[str, Any]) -> str:
    """The first 16 hexadecimal digits of a sha256 over the canonical JSON of all but the field `digest`."""
    return _digest(canonical_json({k: v for k, v in content.items() if k != "digest"}).encode())


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """The content with its digest."""
    return {**content, "digest": digest_of(content)}


def check_digest(content: Any) -> None:
    """Raises ValueError if a file, or an entry of one, is not what its digest says; older ones have no digest."""
    if isinstance(content, dict) and "digest" in content and content["digest"] != digest_of(content):
        raise ValueError("its content is not what its digest says")


def check_seal(blob: bytes) -> None:
    """As `check_digest`, of a file's bytes: where they are canonical JSON, without reading it."""
    seal = SEAL.search(blob)
    if seal and _digest(blob[: seal.start()] + blob[seal.end() :].rstrip()) == seal[1].decode():
        return
    if b'"digest"' in blob:
        check_digest(json.loads(blob))


def decode(blob: bytes, kind: type[T]) -> T:
    """A file's content as a dataclass, or whatever else msgspec knows; its digest is not looked at.

    Raises:
        ValueError: it is malformed, or a value is of the wrong kind.
    """
    try:
        found: T = _decoder(kind).decode(blob)  # type: ignore[arg-type]
        return found
    except (ValueError, RecursionError):
        return convert(_loads(blob), kind)  # Python reads what it writes: NaN, and halves of surrogate pairs


def convert(content: Any, kind: type[T]) -> T:
    """Parsed JSON as a dataclass; raises ValueError if a value is of the wrong kind."""
    try:
        return msgspec.convert(content, kind)
    except (ValueError, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from None


def place_of(error: ValueError) -> str:
    """Of which value an error of `convert` is, as `conditions[...].lr`; empty: of the whole."""
    at, lacking = re.search(r"`\$(.*)`$", str(error)), re.search(r"missing required field `(\w+)`", str(error))
    return f"{at[1] if at else ''}{f'.{lacking[1]}' if lacking else ''}".removeprefix(".")


def _loads(blob: bytes) -> Any:
    try:
        return json.loads(blob)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from None


@functools.cache
def _decoder(kind: Any) -> Any:
    return msgspec.json.Decoder(kind)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]
