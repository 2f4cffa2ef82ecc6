"""Who gets in, as whom, and what each may: asked of every route that there is."""

import re
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest
from pydantic import ValidationError
from starlette.routing import BaseRoute, Route

from dicom_node.settings import WebSettings
from dicom_node.web import access
from dicom_node.web.access import SESSION_S, EndedSessions
from dicom_node.web.accounts import (
    ROLES,
    Account,
    Accounts,
    AccountsFile,
    Role,
    TokenEntry,
    UserEntry,
    hash_password,
    new_token,
)
from dicom_node.web.app import application
from dicom_node.web.sign_in import Throttle
from web_node import Answer, Node, images, make_site, served

PASSWORD = "correct horse battery"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

# What each route needs; a route that is not here fails the test.
OPEN = {
    ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/sign-in"), ("POST", "/sign-in"), ("POST", "/sign-out"),
    ("GET", "/static/pages.css"), ("GET", "/static/icon.svg"), ("GET", "/api/v1/openapi.json"),
}  # fmt: skip
NEEDS: dict[tuple[str, str], Role] = {
    ("GET", "/"): "viewer",
    ("GET", "/metrics"): "viewer",
    ("GET", "/scanners"): "viewer",
    ("GET", "/model"): "viewer",
    ("GET", "/accounts"): "admin",
    ("GET", "/api/v1/series"): "viewer",
    ("GET", "/api/v1/series/{series_instance_uid}"): "viewer",
    ("POST", "/api/v1/series/{series_instance_uid}/read"): "reviewer",
    ("GET", "/api/v1/reviews"): "reviewer",
    ("POST", "/api/v1/notify"): "reviewer",
    ("GET", "/series/{series_instance_uid}"): "viewer",
    ("GET", "/series/{series_instance_uid}/stacks/{index}.png"): "viewer",
    ("GET", "/series/{series_instance_uid}/reports/{sop_instance_uid}.dcm"): "viewer",
    ("POST", "/series/{series_instance_uid}/read"): "reviewer",
    ("POST", "/series/{series_instance_uid}/review"): "reviewer",
}


class Guarded:
    """A node that wants people to sign in; `token` of each role."""

    def __init__(self, node: Node, tokens: dict[Role, str]) -> None:
        self.node, self.tokens = node, tokens

    def as_role(self, role: Role) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[role]}"}

    def form(self, path: str = "/sign-in", cookie: str = "") -> tuple[str, str]:
        """The session's cookie and the token of a page's form."""
        answer = self.node.get(path, **({"Cookie": cookie} if cookie else {}))
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        assert found is not None
        return cookie_of(answer) or cookie, found[1]

    def sign_in(self, name: str = "anna", password: str = PASSWORD, then: str = "/") -> Answer:
        cookie, token = self.form()
        body = urlencode({"csrf": token, "name": name, "password": password, "then": then}).encode()
        return self.node.ask("POST", "/sign-in", headers={**FORM, "Cookie": cookie}, body=body)


def cookie_of(answer: Answer) -> str:
    return answer.headers.get("set-cookie", "").partition(";")[0]


@pytest.fixture(scope="module")
def accounts_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[Role, str]]:
    """Accounts of every role, made once: hashing takes its time."""
    accounts = Accounts(tmp_path_factory.mktemp("accounts") / "accounts.yaml")
    made = {role: new_token() for role in ROLES}
    accounts.write(
        AccountsFile(
            users={
                "anna": UserEntry(role="reviewer", password=hash_password(PASSWORD)),
                "bob": UserEntry(role="admin"),
            },
            tokens={f"of-{role}": TokenEntry(role=role, sha256=digest) for role, (_, digest) in made.items()},
        )
    )
    return accounts.file.read_bytes(), {role: token for role, (token, _) in made.items()}


@pytest.fixture
def guarded(tmp_path: Path, accounts_file: tuple[bytes, dict[Role, str]]) -> Iterator[Guarded]:
    content, tokens = accounts_file
    (tmp_path / "accounts.yaml").write_bytes(content)
    with served(make_site(tmp_path, settings=WebSettings(sign_in="accounts"))) as node:
        yield Guarded(node, tokens)


def test_accounts_that_cannot_be_read_are_in_the_log_and_answered_for_now(
    guarded: Guarded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "accounts.yaml").write_text("users: {anna: {role: king}}")
    answer = guarded.node.get("/metrics", **guarded.as_role("viewer"))
    assert (answer.status, answer.json["error"]["code"]) == (503, "accounts-unavailable")
    assert "anna" not in answer.text
    (reason,) = [getattr(one, "reason", "") for one in caplog.records if one.name == "dicom_node.web.errors"]
    assert reason.startswith(f"{tmp_path / 'accounts.yaml'}: users.anna.role: ")


def answering(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Method and path of everything below; what is neither a route nor a router of routes fails the test."""
    for route in routes:
        if isinstance(route, Route):
            yield from ((method, route.path) for method in route.methods or () if method != "HEAD")
        else:
            yield from answering(route.original_router.routes)  # type: ignore[attr-defined] - of FastAPI


def test_every_route_of_the_application_says_whom_it_needs(tmp_path: Path) -> None:
    found = list(answering(application(make_site(tmp_path)).routes))
    assert len(found) == len(set(found)), "the first of two would answer"
    assert set(found) == OPEN | NEEDS.keys()


@pytest.mark.parametrize(("method", "path"), sorted(NEEDS))
def test_a_route_answers_those_who_may_and_nobody_else(guarded: Guarded, method: str, path: str) -> None:
    node = guarded.node
    series = node.receive(images())
    real = path.format(series_instance_uid=series, index=0, sop_instance_uid="1.2.3")
    role = NEEDS[method, path]
    answer = node.ask(method, real)
    page = not path.startswith(("/api/", "/metrics"))
    assert answer.status == (303 if page and method == "GET" else 401), "nobody"
    assert node.ask(method, real, headers={"Authorization": "Bearer mrclip_forged"}).status == answer.status
    assert node.ask(method, real, headers={"Cookie": "mrclip=forged"}).status == answer.status
    for asked in ROLES:
        status = node.ask(method, real, headers=guarded.as_role(asked)).status
        if ROLES.index(asked) < ROLES.index(role):
            assert status == 403, asked
        else:
            # Forms need their token too, and this series has neither stacks nor reports.
            assert status in (200, 202, 404, 415, 422), asked


@pytest.mark.parametrize(("method", "path"), sorted(OPEN))
def test_open_routes_ask_nobody(guarded: Guarded, method: str, path: str) -> None:
    assert guarded.node.ask(method, path).status in (200, 415)


def test_openapi_says_that_a_token_is_needed(guarded: Guarded) -> None:
    paths = guarded.node.get("/api/v1/openapi.json").json["paths"]
    needed = {path for path, operations in paths.items() for one in operations.values() if one.get("security")}
    assert needed == {path for _, path in NEEDS if path.startswith(("/api/", "/metrics"))}
    assert not [one for operations in paths.values() for one in operations.values() if {} in one.get("security", [])]


def test_nobody_is_told_whether_a_series_exists(guarded: Guarded) -> None:
    known, unknown = guarded.node.receive(images()), "1.2.3"
    bodies = {guarded.node.get(f"/api/v1/series/{uid}").body for uid in (known, unknown)}
    assert len(bodies) == 1


def test_whoever_signs_in_goes_where_they_wanted(guarded: Guarded) -> None:
    answer = guarded.node.get("/?flagged=true")
    assert answer.headers["location"] == "/sign-in?then=%2F%3Fflagged%3Dtrue"
    answer = guarded.sign_in(then="/?flagged=true")
    assert (answer.status, answer.headers["location"]) == (303, "/?flagged=true")
    page = guarded.node.get("/", Cookie=cookie_of(answer))
    assert page.status == 200
    assert "anna, reviewer" in page.text


def test_a_long_link_leads_to_the_form_and_back(guarded: Guarded) -> None:
    path = f"/?scanner={'%C3%A4' * 128}"
    to_form = guarded.node.get(path).headers["location"]
    assert guarded.node.get(to_form).status == 200
    assert guarded.sign_in(then=path).headers["location"] == path
    assert guarded.node.get(f"/?scanner={'a' * 2000}").headers["location"] == "/sign-in", "too long to come back to"


@pytest.mark.parametrize(
    "then", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_signing_in_leads_nowhere_else(guarded: Guarded, then: str) -> None:
    assert guarded.sign_in(then=then).headers["location"] == "/"


def test_a_wrong_name_or_password_is_the_same(guarded: Guarded) -> None:
    answers = [guarded.sign_in("anna", "wrong"), guarded.sign_in("nobody", PASSWORD), guarded.sign_in("bob", "")]
    assert {answer.status for answer in answers} == {401}
    tokenless = {re.sub(r'value="[^"]+"', "", answer.text) for answer in answers}
    assert len(tokenless) == 1
    for answer in answers:
        assert guarded.node.get("/", Cookie=cookie_of(answer) or "a=b").status == 303


def test_signing_out_ends_the_session(guarded: Guarded) -> None:
    cookie, other = cookie_of(guarded.sign_in()), cookie_of(guarded.sign_in())
    kept, token = guarded.form("/", cookie)
    assert kept == cookie, "a session that is signed again would last longer"
    body = urlencode({"csrf": token}).encode()
    answer = guarded.node.ask("POST", "/sign-out", headers={**FORM, "Cookie": cookie}, body=body)
    assert answer.headers["location"] == "/sign-in"
    assert "mrclip=null" in answer.headers["set-cookie"]
    assert guarded.node.get("/", Cookie=cookie).status == 303, "a copy of the cookie"
    assert guarded.node.get("/", Cookie=other).status == 200


def test_sessions_that_ended_are_remembered_for_as_long_as_their_cookie() -> None:
    now_s = 1000.0
    ended = EndedSessions(lambda: now_s)
    ended.add("a")
    now_s += SESSION_S
    ended.add("b")
    assert ("a" in ended, "b" in ended, "c" in ended) == (True, True, False)
    now_s += 1
    ended.add("b")
    assert ("a" in ended, "b" in ended) == (False, True)


def test_sessions_that_ended_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_REMEMBERED", 2)
    ended = EndedSessions()
    for session in "abc":
        ended.add(session)
    assert [session in ended for session in "abc"] == [False, True, True]


def test_another_password_or_none_ends_every_session(guarded: Guarded) -> None:
    cookie = cookie_of(guarded.sign_in())
    accounts = guarded.node.site.accounts
    assert guarded.node.get("/", Cookie=cookie).status == 200
    content = accounts.content()
    accounts.write(AccountsFile(users={"anna": UserEntry(role="reviewer", password=hash_password("another one"))}))
    assert guarded.node.get("/", Cookie=cookie).status == 303
    accounts.write(content)
    assert guarded.node.get("/", Cookie=cookie).status == 200
    accounts.write(AccountsFile())
    assert guarded.node.get("/", Cookie=cookie).status == 303


def test_signing_in_starts_a_new_session(guarded: Guarded) -> None:
    before, token = guarded.form()
    body = urlencode({"csrf": token, "name": "anna", "password": PASSWORD}).encode()
    answer = guarded.node.ask("POST", "/sign-in", headers={**FORM, "Cookie": before}, body=body)
    _, after = guarded.form("/", cookie_of(answer))
    assert after != token
    assert guarded.node.get("/", Cookie=before).status == 303


def test_many_tries_have_to_wait(guarded: Guarded) -> None:
    for _ in range(5):
        assert guarded.sign_in("anna", "wrong").status == 401
    answer = guarded.sign_in("anna", PASSWORD)
    assert answer.status == 429
    assert guarded.sign_in("carl", "wrong").status == 401, "another name waits for nobody"


def test_the_wait_doubles_up_to_five_minutes() -> None:
    now_s = 1000.0
    throttle, who = Throttle(lambda: now_s), ("anna", "192.0.2.1")
    assert [throttle.begin(who) for _ in range(5)] == [0] * 5
    for wait_s in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300):
        assert throttle.begin(who) == wait_s
        now_s += wait_s
        assert throttle.begin(who) == 0
    now_s += 299
    assert throttle.begin(who) == 1
    throttle.succeeded(who)
    assert throttle.begin(who) == 0


class Slow(Accounts):
    """Accounts whose passwords are being tried until `go` is set."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.begun, self.go = threading.Semaphore(0), threading.Event()

    def sign_in(self, name: str, password: str) -> Account | None:
        self.begun.release()
        assert self.go.wait(20)
        return None


def test_tries_beside_each_other_count_and_leave_room_for_pages(tmp_path: Path) -> None:
    slow = Slow(tmp_path / "accounts.yaml")
    with served(make_site(tmp_path, settings=WebSettings(sign_in="accounts"), accounts=slow)) as node:
        guarded = Guarded(node, {})
        with ThreadPoolExecutor(5) as pool:
            tries = [pool.submit(guarded.sign_in) for _ in range(5)]
            try:
                assert all(slow.begun.acquire(timeout=20) for _ in tries)
                answer = guarded.sign_in("carl")
                assert answer.status == 503
                assert "Too many sign in at once" in answer.text
                assert node.get("/sign-in").status == 200
            finally:
                slow.go.set()
        assert [one.result().status for one in tries] == [401] * 5
        assert guarded.sign_in().status == 429, "each of them was a try"
        assert guarded.sign_in("carl").status == 401, "who found no place has not tried"


def test_the_session_goes_over_https_only_where_a_proxy_serves_that(
    tmp_path: Path, accounts_file: tuple[bytes, dict[Role, str]]
) -> None:
    (tmp_path / "accounts.yaml").write_bytes(accounts_file[0])
    with served(make_site(tmp_path, settings=WebSettings(sign_in="accounts", https=True))) as node:
        assert "secure" in node.get("/sign-in").headers["set-cookie"].lower()


def test_a_proxy_says_who_it_is_if_it_is_trusted(tmp_path: Path, accounts_file: tuple[bytes, dict[Role, str]]) -> None:
    (tmp_path / "accounts.yaml").write_bytes(accounts_file[0])
    with served(make_site(tmp_path, settings=WebSettings(sign_in="proxy"))) as node:
        assert node.get("/api/v1/series").status == 401
        assert "carl, viewer" in node.get("/", **{"X-Remote-User": "carl"}).text
        assert "bob, admin" in node.get("/", **{"X-Remote-User": "bob"}).text
        assert "Sign out" not in node.get("/", **{"X-Remote-User": "bob"}).text
        assert node.get("/api/v1/series", **{"X-Remote-User": "x" * 65}).status == 401
    foreign = WebSettings.model_validate({"sign_in": "proxy", "proxy_addresses": ["192.0.2.1"]})
    (tmp_path / "other").mkdir()
    with served(make_site(tmp_path / "other", settings=foreign)) as node:
        assert node.get("/api/v1/series", **{"X-Remote-User": "bob"}).status == 401


def test_a_name_in_a_header_is_worth_nothing_without_a_proxy(guarded: Guarded) -> None:
    assert guarded.node.get("/api/v1/series", **{"X-Remote-User": "bob"}).status == 401


def test_a_node_that_others_can_reach_must_say_how_they_sign_in() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::", "node.example"):
        with pytest.raises(ValidationError, match="sign_in must say"):
            WebSettings(host=host)
        assert WebSettings(host=host, sign_in="accounts").sign_in == "accounts"
    for host in ("127.0.0.1", "::1", "localhost"):
        assert WebSettings(host=host).sign_in is None
