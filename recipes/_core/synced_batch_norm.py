"""Batch normalization whose statistics run over the whole batch, however many processes share it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from recipes._core.distributed import all_sum, world


class BatchNorm(nn.Module):
    """Batch normalization (Ioffe and Szegedy, 2015) of (N, C) or (N, C, H, W), synchronized among processes.

    torch's own `SyncBatchNorm` works on GPUs only; this one is the same on every device, and with one process it is
    `nn.BatchNorm1d` or `nn.BatchNorm2d` itself.

    Args:
        channels: C.
        dims: 0 for (N, C), 2 for (N, C, H, W).
        momentum: weight of the newest batch in the running statistics.
    """

    def __init__(self, channels: int, dims: int, momentum: float = 0.1) -> None:
        super().__init__()
        kind = nn.BatchNorm2d if dims else nn.BatchNorm1d
        self.norm = kind(channels, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and world() > 1:
            return _synchronized(x, self.norm)
        return self.norm(x)  # type: ignore[no-any-return]


def _synchronized(x: Tensor, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Tensor:
    axes = [0, *range(2, x.ndim)]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    mean = all_sum(x.float().mean(axes)) / world()
    centred = x.float() - mean.view(shape)
    var = all_sum(centred.square().mean(axes)) / world()
    _update(norm, mean.detach(), var.detach(), world() * x.numel() // x.shape[1])
    scale = norm.weight / (var + norm.eps).sqrt()
    y: Tensor = centred * scale.view(shape) + norm.bias.view(shape)
    return y.to(x.dtype)


def _update(norm: nn.BatchNorm1d | nn.BatchNorm2d, mean: Tensor, var: Tensor, count: int) -> None:
    move(norm, mean, var * count / max(count - 1, 1))


def move(norm: nn.Module, mean: Tensor, var: Tensor) -> None:
    """Move the running statistics towards a batch's, as torch does: at a momentum of None to the mean of all so far.

    Args:
        norm: a batch norm of torch's.
        mean, var: of the batch, var unbiased; both (C,).
    """
    statistics: Any = norm
    statistics.num_batches_tracked.add_(1)
    weight = 1 / statistics.num_batches_tracked.item() if statistics.momentum is None else statistics.momentum
    statistics.running_mean.lerp_(mean, weight)
    statistics.running_var.lerp_(var, weight)
