import pytest

from facesegl.config.machine import auto_precision, resolve_accelerator
from facesegl.errors import MachineError


def test_auto_is_bf16_only_where_the_device_is_faster_in_it(devices):
    devices(amx_bf16=True)
    assert auto_precision("cpu") == "bf16-mixed"
    devices(avx512_bf16=True, amx_bf16=False)  # there a bf16 step takes longer
    assert auto_precision("cpu") == "32-true"
    devices(cuda=True)
    assert auto_precision("cuda") == "bf16-mixed"
    assert auto_precision("mps") == "32-true"


def test_auto_is_the_best_device(devices):
    devices(cuda=True)
    assert resolve_accelerator("auto") == resolve_accelerator("gpu") == "cuda"
    devices(mps=True)
    assert resolve_accelerator("auto") == resolve_accelerator("gpu") == "mps"
    devices()
    assert resolve_accelerator("auto") == "cpu"
    assert resolve_accelerator("tpu") == "tpu"


@pytest.mark.parametrize("wanted", ["gpu", "cuda", "mps"])
def test_missing_device_is_refused_with_a_remedy(devices, wanted: str):
    devices()
    with pytest.raises(MachineError, match=f"^device={wanted}: .* use device=cpu or device=auto$"):
        resolve_accelerator(wanted, "device")
