"""Node for the tests of what runs in the page: the one inside the playwright package, pinned with it, so there always is one."""

from __future__ import annotations

import subprocess

from playwright._impl._driver import compute_driver_executable


def run_node(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Node with `arguments`, its output as text; ended after a minute."""
    return subprocess.run([compute_driver_executable()[0], *arguments], capture_output=True, text=True, timeout=60)
