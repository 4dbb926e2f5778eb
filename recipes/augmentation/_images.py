"""Image operations on a batch (N, C, H, W) with pixels in [0, 1]: each image takes its own parameters, (N,) tensors.

Values are those of torchvision's functions for float images; where an operation needs the 256 levels of a file
(`posterize`, `solarize`, `equalize`), those for uint8, on the nearest level. Nothing is rounded otherwise. Only
elementwise arithmetic moves pixels, so that autocast, which lowers the precision of products of matrices, cannot.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 256
GRAY = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in luma (ITU-R BT.601), with torchvision's digits."""


# --- geometry -------------------------------------------------------------------------------------------------------


def warp(
    x: Tensor,
    to_column: tuple[Tensor | float, ...],
    to_row: tuple[Tensor | float, ...],
    mode: str = "bilinear",
    beyond: str = "zeros",
) -> Tensor:
    """Fetch every output pixel from elsewhere in its image.

    The pixel at (column, row), in pixels from the image's centre, comes from column a * column + b * row + c with
    (a, b, c) = to_column, and from row likewise.

    Args:
        x: (N, C, H, W).
        to_column, to_row: numbers, or (N,) tensors.
        mode: `bilinear` or `nearest`.
        beyond: what lies beyond the border: `zeros`, or `reflection` about the border's pixels.
    """
    n, _, height, width = x.shape
    column = torch.arange(width, device=x.device, dtype=x.dtype) - (width - 1) / 2
    row = (torch.arange(height, device=x.device, dtype=x.dtype) - (height - 1) / 2)[:, None]
    grid = x.new_empty(n, 2, height, width)
    # -1 and 1 are the centres of the border's pixels if corners are aligned, else their outer edges.
    corners = beyond == "reflection"
    for axis, (side, coefficients) in enumerate(((width, to_column), (height, to_row))):
        a, b, c = ((v[:, None, None] if isinstance(v, Tensor) else v) * (2 / (side - corners)) for v in coefficients)
        torch.add((a * column).expand(n, 1, width), b * row + c, out=grid[:, axis])
    return F.grid_sample(x, grid.permute(0, 2, 3, 1), mode, beyond, align_corners=corners)


def affine(x: Tensor, angle: Tensor, shift: Tensor, mirror: Tensor) -> Tensor:
    """Rotate, shift and mirror each image about its centre, in one sampling.

    Args:
        x: (N, C, H, W).
        angle: (N,) radians, counter-clockwise as one sees the image.
        shift: (N, 2) to the right and down, as shares of width and height.
        mirror: (N,) boolean, flip left and right first.
    """
    height, width = x.shape[-2:]
    cos, sin, sign = angle.cos(), angle.sin(), 1 - 2 * mirror.to(x.dtype)
    right, down = shift[:, 0] * width, shift[:, 1] * height
    # From output to input: first undo the shift, then the rotation, then the mirror.
    to_column = (sign * cos, -sign * sin, sign * (sin * down - cos * right))
    return warp(x, to_column, (sin, cos, -(sin * right + cos * down)))


def rotate(x: Tensor, degrees: Tensor) -> Tensor:
    """Rotate counter-clockwise about the centre by (N,) degrees."""
    angle = degrees.deg2rad()
    return warp(x, (angle.cos(), -angle.sin(), 0.0), (angle.sin(), angle.cos(), 0.0))


def translate(x: Tensor, right: Tensor | float = 0.0, down: Tensor | float = 0.0) -> Tensor:
    """Shift by (N,) pixels."""
    return warp(x, (1.0, 0.0, -right), (0.0, 1.0, -down))


def move(x: Tensor, slope_x: Tensor, slope_y: Tensor, right: Tensor, down: Tensor, degrees: Tensor) -> Tensor:
    """Shear, shift or rotate: one of the parameters, all (N,), counts for an image, and its others are 0.

    Shearing moves each row to the left by `slope_x` times its distance from the upper border, or each column up by
    `slope_y` times its distance from the left border, as Pillow's affine transform in the papers' codes does.
    """
    angle = degrees.deg2rad()
    cos, sin = angle.cos(), angle.sin()
    height, width = x.shape[-2:]
    to_column = (cos, slope_x - sin, slope_x * (height / 2) - right)
    return warp(x, to_column, (slope_y + sin, cos, slope_y * (width / 2) - down))


def mirror(x: Tensor, which: Tensor) -> Tensor:
    """Flip left and right the images that the (N,) boolean names."""
    columns = torch.arange(x.shape[-1], device=x.device)
    source = torch.where(which[:, None], columns.flip(0), columns)
    return x.gather(3, source[:, None, None].expand_as(x))


def box_mask(x: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """(n, 1, H, W) booleans, true inside each box; what reaches beyond an image of `x` is clipped. Arguments (n,)."""
    rows = torch.arange(x.shape[-2], device=x.device)
    columns = torch.arange(x.shape[-1], device=x.device)
    inside_rows = (rows >= top[:, None]) & (rows < (top + height)[:, None])
    inside_columns = (columns >= left[:, None]) & (columns < (left + width)[:, None])
    # The product of bytes takes a third of the time of `&` on booleans.
    product = inside_rows.view(torch.uint8)[:, None, :, None] * inside_columns.view(torch.uint8)[:, None, None, :]
    return product.view(torch.bool)


# --- intensities ----------------------------------------------------------------------------------------------------


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """x * factor, within [0, 1]."""
    return (x * _per_image(factor)).clamp_(0, 1)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Away from (factor > 1) or towards the mean gray of the image."""
    return _blend(gray(x).mean(dim=(1, 2, 3), keepdim=True), x, factor)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Away from (factor > 1) or towards gray; images of one channel stay."""
    return _blend(gray(x), x, factor)


def sharpness(x: Tensor, factor: Tensor) -> Tensor:
    """Away from (factor > 1) or towards the image smoothed by [[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13; borders stay."""
    smooth = x.clone()
    if min(x.shape[-2:]) > 2:
        rows = x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]
        square = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
        smooth[..., 1:-1, 1:-1] = square.add_(x[..., 1:-1, 1:-1], alpha=4).div_(13)
    return _blend(smooth, x, factor)


def hue(x: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue by a share of the color circle; images of one channel stay."""
    if x.shape[1] == 1:
        return x
    red, green, blue = x.unbind(1)
    high, low = x.amax(1), x.amin(1)
    span = torch.where(high > low, high - low, 1.0)
    # The hue in sixths of the circle, and back: https://en.wikipedia.org/wiki/HSL_and_HSV (HSV to RGB alternative).
    at_blue = torch.where(high == green, 2 + (blue - red) / span, 4 + (red - green) / span)
    angle = torch.where(high == red, (green - blue) / span, at_blue)
    offset = torch.arange(5, 0, -2, device=x.device, dtype=x.dtype)[:, None, None]
    k = (angle[:, None] + 6 * _per_image(turn) + offset) % 6
    return high[:, None] - (high - low)[:, None] * torch.minimum(k, 4 - k).clamp_(0, 1)


def autocontrast(x: Tensor) -> Tensor:
    """Stretch each channel to [0, 1]; a constant one stays."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    flat = high == low
    return (x - low.masked_fill(flat, 0)) / (high - low).masked_fill(flat, 1)


def invert(x: Tensor) -> Tensor:
    return 1 - x


def solarize(x: Tensor, threshold: Tensor) -> Tensor:
    """Invert the levels from threshold * 255 up."""
    inverted = _level(x) >= _per_image(threshold) * (LEVELS - 1)
    return x.sub(inverted.to(x.dtype)).abs_()


def posterize(x: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest bits, 0 to 8 of them, of each level."""
    step = 2 ** (8 - _per_image(bits))
    return _level(x).div_(step).floor_().mul_(step).div_(LEVELS - 1)


def equalize(x: Tensor) -> Tensor:
    """Spread the levels of each channel evenly, by Pillow's integer rule; below 256 pixels it leaves all as it is."""
    level = _level(x).flatten(2)
    brightest, index = level.amax(2, keepdim=True).long(), level.long()
    histogram = x.new_zeros(*level.shape[:2], LEVELS).scatter_add_(2, index, x.new_ones(1).expand_as(level))
    # Counts are whole numbers, for which division and floor are exact in single precision.
    step = ((level.shape[2] - histogram.gather(2, brightest)) / (LEVELS - 1)).floor_()
    below = histogram.cumsum(2) - histogram
    spread = below.add_((step / 2).floor_()).div_(step.clamp(min=1)).floor_().clamp_(max=LEVELS - 1)
    same = torch.arange(LEVELS, device=x.device, dtype=x.dtype)
    table = torch.where(step > 0, spread, same).div_(LEVELS - 1)
    return table.gather(2, index).view_as(x)


def gray(x: Tensor) -> Tensor:
    """(N, 1, H, W) luma."""
    if x.shape[1] == 1:
        return x
    red, green, blue = x.unbind(1)
    return (GRAY[0] * red + GRAY[1] * green + GRAY[2] * blue)[:, None]


def _blend(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """start + share * (end - start), within [0, 1]; a share of 1 gives `end` itself."""
    return torch.lerp(start.expand_as(end), end, _per_image(share)).clamp_(0, 1)


def _level(x: Tensor) -> Tensor:
    return (x * (LEVELS - 1)).round_().clamp_(0, LEVELS - 1)


def _per_image(parameter: Tensor) -> Tensor:
    return parameter[:, None, None, None]
