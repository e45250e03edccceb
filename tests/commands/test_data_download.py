"""Which folder `data download` fills, and which command lines contradict themselves."""

from pathlib import Path

import pytest

from facesegl.commands import data_download as verb
from facesegl.commands.data_download import data_download
from facesegl.errors import ConfigError


@pytest.fixture
def asked(monkeypatch):
    """What the verb asks for."""
    calls = []
    monkeypatch.setattr(verb, "download", lambda target, **how: calls.append((str(target), how)))
    return calls


def test_verb_fills_the_folder_where_the_data_are_looked_for(asked, monkeypatch):
    data_download(None)
    data_download(None, ["paths.data=other place"])
    data_download(Path("given"), force=True)
    monkeypatch.setenv("FACESEGL_DATA", "/from/environment")
    data_download(None)
    assert [target for target, _ in asked] == ["data/fasseg", "other place/fasseg", "given", "/from/environment/fasseg"]
    assert asked[2][1] == {"url": None, "archive": None, "force": True}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"folder": Path("a"), "overrides": ["paths.data=b"]}, "paths.data=b: the folder is already given"),
        ({"folder": None, "overrides": ["data=fasseg_v2"]}, "data=fasseg_v2: data download takes no key but"),
        ({"folder": None, "overrides": ["paths.data=null"]}, "paths.data: expected a folder"),
        ({"folder": None, "url": "https://x/y", "archive": Path("z")}, "give one of the two"),
    ],
)
def test_verb_refuses_contradictions(asked, arguments, words):
    with pytest.raises(ConfigError, match=words):
        data_download(**arguments)
    assert not asked
