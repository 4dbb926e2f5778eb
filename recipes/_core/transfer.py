"""Numbers drawn on the CPU travel to the device without making the host wait."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(x: Tensor, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """`x` on the device of `like`, in its own type or in `dtype`; any shape.

    To CUDA from pinned memory, for only from there a copy is asynchronous. The type is changed before: on the way it
    would be changed in memory that is not pinned.
    """
    x = x if dtype is None else x.to(dtype)
    pinned = like.is_cuda and not x.is_cuda
    return x.pin_memory().to(like.device, non_blocking=True) if pinned else x.to(like.device)
