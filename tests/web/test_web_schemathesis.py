"""The HTTP interface does what its OpenAPI description says, for whatever is asked: schemathesis makes the requests."""

from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from dicom_node.settings import WebSettings
from dicom_node.web.accounts import Accounts, AccountsFile, TokenEntry, new_token
from reading_factory import finding, read_stack, unread_stack
from web_node import Node, images, make_site, served

_LIMITS = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def known_series(node: Node) -> list[str]:
    """A series in each form."""
    shown = images(seed="read")
    stacks = [read_stack(shown, findings=(finding(),)), unread_stack(index=1)]
    bare = {"report": None, "reason": "nothing to say", "destinations": ()}
    return [
        node.read(shown, stacks).series_instance_uid,
        node.read(images(seed="bare"), **bare).series_instance_uid,
        node.receive(images(seed="waiting")),
    ]


def ask_everything(node: Node, mode: GenerationMode, headers: dict[str, str]) -> None:
    """Requests of every operation; each answer must be one of those that the description names."""
    known = known_series(node)
    schema = schemathesis.openapi.from_url(f"{node.url}/api/v1/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == 8
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not {"parameters", "requestBody"} & set(operation.definition.raw):
            continue  # nothing could be wrong with it

        @_LIMITS
        @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
        def ask(case: schemathesis.Case, data: st.DataObject) -> None:
            if mode is GenerationMode.POSITIVE and case.path_parameters and data.draw(st.booleans()):
                case.path_parameters["series_instance_uid"] = data.draw(st.sampled_from(known))
            case.call_and_validate(headers=headers)

        ask()


def test_what_is_asked_rightly_is_answered_as_described(tmp_path: Path) -> None:
    token, digest = new_token()
    accounts = Accounts(tmp_path / "accounts.yaml")
    accounts.write(AccountsFile(tokens={"test": TokenEntry(role="reviewer", sha256=digest)}))
    with served(make_site(tmp_path, settings=WebSettings(sign_in="accounts"))) as node:
        ask_everything(node, GenerationMode.POSITIVE, {"Authorization": f"Bearer {token}"})


def test_what_is_asked_wrongly_is_refused_as_described(node: Node) -> None:
    ask_everything(node, GenerationMode.NEGATIVE, {})
