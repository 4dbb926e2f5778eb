"""Engines by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bench.engines import registry


def test_engine_that_is_not_installed(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "bench.engines.ray", raising=False)
    with pytest.raises(Exception, match=r"engine ray needs ray: pip install 'regularization-bench\[ray\]'"):
        registry.make("ray", 1, 1, tmp_path)
