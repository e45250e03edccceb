"""Nobody hears of what is predicted."""

import os
import subprocess
import sys


def test_onnx_runtime_is_told_to_report_nothing():
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    told = "import facesegl, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", told], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
