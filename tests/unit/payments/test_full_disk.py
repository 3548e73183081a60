"""A disk without room: nobody is charged for what could not be written down."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.payments.fill_disk import SMALL

ROOT = Path(__file__).parents[3]
FILL = [sys.executable, "-m", "tests.unit.payments.fill_disk"]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_file_system_that_fills_up_charges_nobody_for_a_refusal(tmp_path: Path) -> None:
    """Twenty calls in a row meet a disk without room, then somebody deletes a file. Every call that
    was answered is in the books once, before and after a restart, and no other is."""
    mount = f'mount -t tmpfs -o size={3 * SMALL} none "$0" && exec "$@"'
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(tmp_path)]
    if run([*inside, "true"]).returncode:
        pytest.skip("this machine lets nobody but root mount a file system")
    done = run([*inside, *FILL, str(tmp_path), "tmpfs"])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 21


def test_a_disk_that_takes_no_more_bytes_charges_nobody_for_a_refusal(tmp_path: Path) -> None:
    """The same where a write fails in the middle: no file may grow beyond a limit."""
    done = run([*FILL, str(tmp_path), "limit"])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 21
