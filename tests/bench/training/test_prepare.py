"""The memory format of convolutions.

References: glibc's checks of the heap, and PyTorch's own kernels, which take double precision where oneDNN's do not.
"""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.training import networks
from bench.training.prepare import memory_format

ROOT = Path(__file__).resolve().parents[3]
CHECKS = ctypes.util.find_library("c_malloc_debug")
STEPS = """
import torch
from bench.training import networks
from bench.training.prepare import memory_format
for spec in ("resnet18(width=2)", "resnet18(width=4)", "resnet18(width=16)", "resnet9(width=4)"):
    net = networks.build(spec, (3, 16, 16), 4, torch.zeros(3), torch.ones(3))
    net, x = net.to(memory_format=memory_format(net)), torch.rand(16, 3, 16, 16)
    for _ in range(10):
        net(x).square().sum().backward()
"""


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("linear", torch.channels_last),
        ("cnn(width=4)", torch.channels_last),
        ("resnet9(width=4)", torch.channels_last),  # it has no strided 1x1 convolution
        ("resnet18(width=15)", torch.preserve_format),
        ("resnet18(width=16)", torch.channels_last),
    ],
)
def test_convolutions_are_channels_last_where_that_is_safe(spec: str, wanted: torch.memory_format) -> None:
    net = networks.build(spec, (3, 16, 16), 4, torch.zeros(3), torch.ones(3))
    assert memory_format(net) == wanted


@pytest.mark.skipif(CHECKS is None, reason="glibc's library of heap checks is not here")
def test_a_backward_pass_leaves_the_heap_whole() -> None:
    environment = os.environ | {"LD_PRELOAD": str(CHECKS), "MALLOC_CHECK_": "3", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", STEPS], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("spec", ["resnet18(width=4)", "resnet18(width=16)"])
def test_gradients_are_those_of_pytorchs_own_kernels(spec: str) -> None:
    net = networks.build(spec, (3, 16, 16), 4, torch.zeros(3), torch.ones(3)).double()
    x, weights = torch.rand(16, 3, 16, 16).double(), tuple(net.parameters())
    wanted = torch.autograd.grad(net(x).square().sum(), weights)
    net, x = net.float(), x.float()
    net = net.to(memory_format=memory_format(net))  # type: ignore[call-overload]
    for ours, theirs in zip(torch.autograd.grad(net(x).square().sum(), tuple(net.parameters())), wanted, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))
