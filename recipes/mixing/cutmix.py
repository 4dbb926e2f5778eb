"""CutMix."""

from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import Above, In
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.transfer import to_device
from recipes.augmentation._images import box_mask
from recipes.mixing._mixing import draw_lambda, draw_shift
from recipes.mixing.mixup import mix


def draw_masks(x: Tensor, lam: Tensor) -> Tensor:
    """(n, 1, H, W) boxes with a share 1 - lam, (n,), of the area, centred anywhere; the border clips them."""
    height, width = x.shape[2:]
    side = (1 - lam).sqrt()
    h, w = (side * height).long(), (side * width).long()
    top = torch.randint(height, lam.shape) - h // 2
    left = torch.randint(width, lam.shape) - w // 2
    return box_mask(x, *to_device(torch.stack([top, left, 2 * (h // 2), 2 * (w // 2)]), x))


@register(
    paper="Yun, Han, Oh, Chun, Choe and Yoo 2019, CutMix: Regularization Strategy to Train Strong Classifiers",
    reference="counted pixels; boxes after the paper's code in a loop; torchvision v2's CutMix.",
    strength="p",
    grid=(0.1, 0.25, 0.5, 0.75, 1.0),
    off=0.0,
    needs=("image",),
)
def cutmix(
    p: Annotated[float, In(0, 1)] = 0.5, alpha: Annotated[float, Above(0)] = 1.0, per_sample: bool = False
) -> Recipe:
    """A box of every image comes from another: y <- lam y + (1 - lam) y', lam being the share of pixels that stayed.

    The box covers 1 - lam of the image with lam ~ Beta(alpha, alpha) and is clipped at the border; lambda is then
    counted anew. One box a batch as in the paper's code, torchvision and timm. Partners as in `mixup`.

    Args:
        p: the strength: the probability that a batch (a sample, if per_sample) is mixed; in the paper 0.5 on CIFAR and
            1 on ImageNet.
        alpha: of the Beta distribution; 1 in the paper.
        per_sample: draw a box for each sample.

    Raises:
        UnfitError: the dataset holds no images.
    """

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        n, shift = len(x) if per_sample else 1, draw_shift(len(x))
        lam = torch.where(torch.rand(n) < p, draw_lambda(alpha, n), 1.0)
        mask = draw_masks(x, lam)
        return torch.where(mask, x.roll(shift, 0), x), mix(y, shift, 1 - mask.float().mean((1, 2, 3)))

    return Recipe(batch=batch, row_by_row=per_sample) if p else Recipe()
