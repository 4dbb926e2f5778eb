"""Whether parsed JSON has the shape that the suite writes."""

from __future__ import annotations

from typing import Any

NUMBER = (int, float)
OPTIONAL_NUMBER = (int, float, type(None))
OPTIONAL_TEXT = (str, type(None))
_CHOICE = {"recipe": str, "lr": OPTIONAL_NUMBER}
TUNING: Any = {
    "rule": {"trials": int, "folds": (int, type(None)), "select": str, "space": str, "sampler": OPTIONAL_TEXT},
    "conditions": [
        {
            **{"dataset": str, "model": str, "train_size": (int, type(None)), "recipe": str, "chosen": (_CHOICE, None)},
            "trials": [{**_CHOICE, "score": OPTIONAL_NUMBER, "run_ids": [str]}],
        }
    ],
}
DECOMPOSITION: Any = [
    {
        **{"dataset": str, "model": str, "train_size": (int, type(None)), "recipe": str, "technique": str},
        **{"strength": (str, *OPTIONAL_NUMBER), "resamples": int},
        "squared": {"error": NUMBER, "bias2": NUMBER, "variance": NUMBER},
        "zero_one": {"error": NUMBER, "bias": NUMBER, "variance": NUMBER},
    }
]


def misshapen(value: Any, shape: Any, name: str = "") -> str | None:
    """Where a value differs from a shape, as `conditions[0].lr`; None where it does not.

    Args:
        value: parsed JSON.
        shape: a type or several; `{key: shape}`, all of whose keys a dictionary must have; `[shape]` of each item; or
            `(shape, None)`, which null fits too.
        name: of the value.
    """
    if isinstance(shape, tuple) and shape[-1] is None:
        return None if value is None else misshapen(value, shape[0], name)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return name or "the file"
        parts = [(value.get(key, ...), part, f"{name}.{key}".lstrip(".")) for key, part in shape.items()]
    elif isinstance(shape, list):
        if not isinstance(value, list):
            return name or "the file"
        parts = [(item, shape[0], f"{name}[{i}]") for i, item in enumerate(value)]
    else:
        return None if isinstance(value, shape) and not isinstance(value, bool) else name
    return next((wrong for part in parts if (wrong := misshapen(*part))), None)
