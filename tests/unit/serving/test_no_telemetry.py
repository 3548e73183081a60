"""Models run without telling their runtime's makers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_onnx_runtime_starts_no_uploader(tmp_path: Path) -> None:
    """It leaves the file of its session in the temporary folder where it does."""
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", "import tessera.serving.runners.onnx"],
        env={**environment, "TMPDIR": str(tmp_path)},
        check=True,
        timeout=60,
    )
    assert list(tmp_path.iterdir()) == []
