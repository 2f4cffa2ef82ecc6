"""The section of orthanc.json: as shipped, with everything set, and with every kind of mistake."""

import json
import re
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from orthanc_plugin.configuration import Configuration, ConfigurationError, configuration
from orthanc_plugin.routing import Hours, Route, Rules

PACKAGE = Path(__file__).parents[2] / "orthanc_plugin"


def test_the_shipped_file_shows_every_key_with_its_default() -> None:
    shipped = json.loads((PACKAGE / "orthanc.json").read_text())
    assert configuration(shipped["Mrclip"]) == configuration({}) == Configuration()
    assert set(shipped["UserMetadata"].values()) == {4201, 4202, 4203, 4204, 4205}


def test_everything_can_be_set() -> None:
    found = configuration(
        {
            "NodeUrl": "https://node.example/",
            "TokenFile": "/etc/orthanc/token",
            "Forward": "notify",
            "Rules": {
                "Modalities": ["MR", "PT"],
                "Description": "^t1",
                "OriginAets": ["MR1"],
                "Hours": ["20:00-06:30"],
                "UnlessRead": False,
            },
            "Routes": [{"To": "research", "Contrast": ["T1"], "PostContrast": True, "Flagged": False}, {"To": "all"}],
            "RetrySeconds": 5,
        }
    )
    assert found == Configuration(
        node_url="https://node.example",
        token_file=Path("/etc/orthanc/token"),
        forward="notify",
        rules=Rules(
            modalities=("MR", "PT"),
            description=re.compile("^t1", re.IGNORECASE),
            origin_aets=("MR1",),
            hours=(Hours(first=time(20), last=time(6, 30)),),
            unless_read=False,
        ),
        routes=(Route(to="research", contrasts=("T1",), post_contrast=True, flagged=False), Route(to="all")),
        retry_s=5.0,
    )
    assert found.page == "https://node.example"


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"NodeUrls": ""}, "Mrclip has unknown keys: NodeUrls"),
        ({"Rules": {"Modality": []}}, "Mrclip.Rules has unknown keys: Modality"),
        ({"Routes": [{"To": "x", "Contrasts": []}]}, "Mrclip.Routes[0] has unknown keys: Contrasts"),
        ({"Routes": [{}]}, "Mrclip.Routes[0].To must name"),
        ({"Routes": [{"To": "x", "Flagged": "yes"}]}, "Mrclip.Routes[0].Flagged must be true or false"),
        ({"Routes": {}}, "Mrclip.Routes must be a list"),
        ({"Routes": ["x"]}, "Mrclip.Routes[0] must be an object"),
        ({"Rules": []}, "Mrclip.Rules must be an object"),
        ({"Rules": {"Modalities": "MR"}}, "Mrclip.Rules.Modalities must be a list of texts"),
        ({"Rules": {"OriginAets": [1]}}, "Mrclip.Rules.OriginAets must be a list of texts"),
        ({"Rules": {"Description": "("}}, "Mrclip.Rules.Description is no regular expression"),
        ({"Rules": {"Hours": ["8-9"]}}, "Mrclip.Rules.Hours: '8-9' must be like"),
        ({"Rules": {"Hours": ["25:00-06:00"]}}, "must be like 20:00-06:00"),
        ({"Rules": {"UnlessRead": 1}}, "Mrclip.Rules.UnlessRead must be true or false"),
        ({"NodeUrl": "file:///etc/passwd"}, "Mrclip.NodeUrl must begin with http"),
        ({"NodeUrl": "http://anna:hush@node:8104"}, "Mrclip.NodeUrl must have no user and password in it"),
        ({"NodeUrl": 8104}, "Mrclip.NodeUrl must be a text"),
        ({"Forward": "push"}, "Mrclip.Forward must be one of store, notify"),
        ({"RetrySeconds": 0}, "Mrclip.RetrySeconds must be a number above 0"),
        ({"RetrySeconds": True}, "Mrclip.RetrySeconds must be a number above 0"),
    ],
)
def test_a_mistake_is_named(section: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(named)):
        configuration(section)
