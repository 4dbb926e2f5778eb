"""Reference: torchvision v2's functions, image by image; on uint8 where an operation needs 256 levels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from recipes.augmentation import _images as images

BILINEAR = InterpolationMode.BILINEAR


def batch(channels: int = 3, height: int = 12, width: int = 9, n: int = 6) -> Tensor:
    levels = torch.randint(256, (n, channels, height, width), generator=torch.Generator().manual_seed(0))
    return levels / 255


def per_image(x: Tensor, parameters: Tensor, f: Callable[[Tensor, float], Tensor]) -> Tensor:
    return torch.stack([f(image, float(p)) for image, p in zip(x, parameters, strict=True)])


def as_uint8(f: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor, float], Tensor]:
    return lambda image, p: f((image * 255).round().to(torch.uint8), p) / 255


def affine(image: Tensor, shift: tuple[int, int] = (0, 0), shear: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    degrees = [float(torch.tensor(s).atan().rad2deg()) for s in shear]
    return tv.affine(image, 0.0, list(shift), 1.0, degrees, BILINEAR, center=[0.0, 0.0])


def move(x: Tensor, parameter: int, m: Tensor) -> Tensor:
    return images.move(x, *(m if i == parameter else torch.zeros_like(m) for i in range(5)))


FACTORS = torch.tensor([0.0, 0.3, 0.9, 1.0, 1.4, 1.9])
ANGLES = torch.tensor([-170.0, -30.0, 0.0, 10.0, 45.0, 90.0])
SLOPES = torch.tensor([-0.9, -0.3, 0.0, 0.1, 0.3, 0.99])
PIXELS = torch.tensor([-9.0, -2.0, 0.0, 1.0, 3.0, 30.0])
CASES = {
    "brightness": (images.brightness, FACTORS, tv.adjust_brightness),
    "contrast": (images.contrast, FACTORS, tv.adjust_contrast),
    "saturation": (images.saturation, FACTORS, tv.adjust_saturation),
    "sharpness": (images.sharpness, FACTORS, tv.adjust_sharpness),
    "hue": (images.hue, torch.tensor([-0.5, -0.2, 0.0, 0.01, 0.1, 0.5]), tv.adjust_hue),
    "autocontrast": (lambda x, m: images.autocontrast(x), FACTORS, lambda x, m: tv.autocontrast(x)),
    "invert": (lambda x, m: images.invert(x), FACTORS, lambda x, m: tv.invert(x)),
    "equalize": (lambda x, m: images.equalize(x), FACTORS, as_uint8(lambda x, m: tv.equalize(x))),
    "solarize": (
        images.solarize,
        torch.tensor([1.0, 0.8, 0.5, 0.2, 1 / 3, 0.0]),
        as_uint8(lambda x, m: tv.solarize(x, 255 * m)),
    ),
    "posterize": (
        images.posterize,
        torch.tensor([8.0, 7.0, 5.0, 3.0, 1.0, 0.0]),
        as_uint8(lambda x, m: tv.posterize(x, int(m))),
    ),
    "rotate": (images.rotate, ANGLES, lambda x, m: tv.rotate(x, m, BILINEAR)),
    "shear_x": (lambda x, m: move(x, 0, m), SLOPES, lambda x, m: affine(x, shear=(m, 0.0))),
    "shear_y": (lambda x, m: move(x, 1, m), SLOPES, lambda x, m: affine(x, shear=(0.0, m))),
    "right": (lambda x, m: move(x, 2, m), PIXELS, lambda x, m: affine(x, (int(m), 0))),
    "down": (lambda x, m: move(x, 3, m), PIXELS, lambda x, m: affine(x, (0, int(m)))),
    "degrees": (lambda x, m: move(x, 4, m), ANGLES, lambda x, m: tv.rotate(x, m, BILINEAR)),
    "translate_x": (lambda x, m: images.translate(x, right=m), PIXELS, lambda x, m: affine(x, (int(m), 0))),
    "translate_y": (lambda x, m: images.translate(x, down=m), PIXELS, lambda x, m: affine(x, (0, int(m)))),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_each_image_is_torchvisions(name: str, channels: int) -> None:
    ours, parameters, reference = CASES[name]
    for x in (batch(channels), batch(channels, 32, 32)):
        before = x.clone()
        expected = per_image(x, parameters, reference)
        torch.testing.assert_close(ours(x, parameters), expected, atol=2e-5, rtol=0)
        assert torch.equal(x, before), "the input was changed"


@pytest.mark.parametrize("name", ["equalize", "solarize", "posterize", "autocontrast"])
def test_flat_images_and_few_levels(name: str) -> None:
    ours, parameters, reference = CASES[name]
    x = batch(1, 40, 40)
    x[0], x[1], x[2] = 0.0, 1.0, 100 / 255
    x[3] = (x[3] > 0.5).float()
    x[4, :, :39] = 0.0
    torch.testing.assert_close(ours(x, parameters), per_image(x, parameters, reference), atol=1e-6, rtol=0)


def test_affine_is_the_flip_then_the_rotation_then_the_shift() -> None:
    x, n = batch(3, 16, 16), 6
    shift = torch.tensor([[0.0, 0.0], [0.25, 0.0], [0.0, -0.125], [0.125, 0.25], [0.0, 0.0], [-0.5, 0.5]])
    mirror = torch.tensor([True, False, True, True, False, True])
    quarter = torch.tensor([0, 1, 2, 3, 1, 0])
    out = images.affine(x, quarter * torch.pi / 2, shift, mirror)
    for i in range(n):
        expected = torch.rot90(x[i].flip(-1) if mirror[i] else x[i], int(quarter[i]), (1, 2))
        right, down = (shift[i] * 16).int().tolist()
        torch.testing.assert_close(out[i], affine(expected, (right, down)), atol=2e-5, rtol=0)


def test_affine_between_pixels_inverts_the_forward_map() -> None:
    """The product of three 3x3 matrices, inverted, in torch's own affine_grid."""
    x, angle = batch(3, 15, 20), torch.tensor([0.3, -0.2, 1.0, 0.0, 2.0, -0.05])
    shift, mirror = torch.linspace(-0.3, 0.3, 12).view(6, 2), torch.tensor([True, False] * 3)
    to_pixels = torch.diag(torch.tensor([10.0, 7.5, 1.0]))
    forward = []
    for a, (right, down), flip in zip(angle, shift, mirror, strict=True):
        move = torch.tensor([[1, 0, 20 * right], [0, 1, 15 * down], [0, 0, 1]])
        turn = torch.tensor([[a.cos(), a.sin(), 0], [-a.sin(), a.cos(), 0], [0, 0, 1]])
        forward.append(move @ turn @ torch.diag(torch.tensor([1 - 2.0 * flip, 1, 1])))
    theta = to_pixels.inverse() @ torch.stack(forward).inverse() @ to_pixels
    grid = F.affine_grid(theta[:, :2], list(x.shape), align_corners=False)
    expected = F.grid_sample(x, grid, align_corners=False)
    torch.testing.assert_close(images.affine(x, angle, shift, mirror), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_mirror_flips_the_named_images(channels: int) -> None:
    x, which = batch(channels), torch.tensor([True, False, False, True, True, False])
    expected = per_image(x, which, lambda image, flip: tv.horizontal_flip(image) if flip else image)
    assert torch.equal(images.mirror(x, which), expected)


def test_box_mask_is_clipped() -> None:
    top, left = torch.tensor([-3, 0, 10, 4]), torch.tensor([2, -9, 7, 3])
    height, width = torch.tensor([5, 20, 9, 0]), torch.tensor([4, 30, 9, 5])
    mask = images.box_mask(batch(), top, left, height, width)
    assert mask.shape == (4, 1, 12, 9)
    for m, r, c, h, w in zip(mask[:, 0], top, left, height, width, strict=True):
        expected = torch.zeros(12, 9, dtype=torch.bool)
        expected[max(r, 0) : max(r + h, 0), max(c, 0) : max(c + w, 0)] = True
        assert torch.equal(m, expected)


def test_autocast_does_not_lower_the_precision() -> None:
    x = batch(3, 32, 32)
    for name in ("rotate", "sharpness", "contrast"):
        ours, parameters, _ = CASES[name]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            lowered = ours(x, parameters)
        assert torch.equal(lowered, ours(x, parameters)), name
