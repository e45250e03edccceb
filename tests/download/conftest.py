import pytest

from facesegl.download.fetch import Patience

QUICK = Patience(timeout_s=20, pauses_s=(0.01, 0.02), longest_s=5)
IMPATIENT = Patience(timeout_s=0.4, pauses_s=(0.01,) * 6)  # more tries than are needed, for a machine that is busy


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def target(tmp_path):
    """Where FASSEG is to lie; the folder above is not there either."""
    return tmp_path / "data" / "fasseg"
