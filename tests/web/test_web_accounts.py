"""The file of accounts, and the command that writes it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dicom_node.cli import group
from dicom_node.errors import SettingsError
from dicom_node.web.accounts import Accounts, AccountsFile, TokenEntry, UserEntry, hash_password, new_token


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path / "accounts.yaml")


def test_no_file_means_nobody(accounts: Accounts) -> None:
    assert accounts.sign_in("anna", "secret") is None
    assert accounts.user("anna") is None
    assert accounts.program("mrclip_x") is None


def test_a_password_is_kept_as_a_salted_hash(accounts: Accounts) -> None:
    one, other = hash_password("secret"), hash_password("secret")
    assert one != other
    assert "secret" not in one
    accounts.write(AccountsFile(users={"anna": UserEntry(role="admin", password=one)}))
    account = accounts.sign_in("anna", "secret")
    assert account is not None
    assert (account.name, account.role) == ("anna", "admin")
    assert accounts.sign_in("anna", "Secret") is None
    assert accounts.file.stat().st_mode & 0o077 == 0


def test_a_known_hash_of_scrypt_is_understood(accounts: Accounts) -> None:
    # RFC 7914 section 12: scrypt("pleaseletmein", "SodiumChloride", N=16384, r=8, p=1), its first 32 bytes.
    known = "scrypt$16384$8$1$U29kaXVtQ2hsb3JpZGU=$cCO9yzr9c0hGHAbNgVBG26o+0PhUtXZTV4i4C3SEyms="
    expected = bytes.fromhex("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2")
    from base64 import b64encode

    known = known.rpartition("$")[0] + "$" + b64encode(expected).decode()
    accounts.write(AccountsFile(users={"anna": UserEntry(role="viewer", password=known)}))
    assert accounts.sign_in("anna", "pleaseletmein") is not None
    assert accounts.sign_in("anna", "pleaseletmeIn") is None


def test_a_token_is_known_by_its_digest_only(accounts: Accounts) -> None:
    token, digest = new_token()
    accounts.write(AccountsFile(tokens={"orthanc": TokenEntry(role="viewer", sha256=digest)}))
    account = accounts.program(token)
    assert account is not None
    assert (account.name, account.role) == ("orthanc", "viewer")
    assert accounts.program(digest) is None
    assert token not in accounts.file.read_text()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("users: {anna: {role: king}}", "users.anna.role"),
        ("users: {anna: {role: viewer, pass: x}}", "users.anna.pass"),
        ("users: {'a b': {role: viewer}}", "users.a b"),
        ("groups: {}", "groups"),
        ("users: [", "cannot be read"),
        ("[1]", "accounts.yaml"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(accounts: Accounts, text: str, named: str) -> None:
    accounts.file.write_text(text)
    with pytest.raises(SettingsError, match=named.replace(".", r"\.")):
        accounts.content()


def test_a_password_that_is_no_hash_is_an_error_and_is_not_shown(accounts: Accounts) -> None:
    accounts.file.write_text("users: {anna: {role: viewer, password: 'plain text'}}")
    with pytest.raises(SettingsError) as raised:
        accounts.sign_in("anna", "plain text")
    assert "plain text" not in str(raised.value)


def run(tmp_path: Path, *arguments: str, typed: str | None = None) -> Result:
    config = tmp_path / "node.yaml"
    config.write_text(f"spool: {{path: {tmp_path / 'data' / 'spool'}}}")
    return CliRunner().invoke(group, ["users", arguments[0], "--config", str(config), *arguments[1:]], input=typed)


def test_the_command_adds_lists_and_removes(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "data" / "accounts.yaml")
    typed = "correct horse battery\n" * 2
    result = run(tmp_path, "add", "anna", "--role", "reviewer", typed=typed)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == f"accounts: {accounts.file}"
    assert "correct horse" not in result.output
    assert accounts.sign_in("anna", "correct horse battery") is not None
    assert run(tmp_path, "add", "bob", "--role", "admin", "--no-password").exit_code == 0
    token = run(tmp_path, "token", "orthanc", "--role", "viewer").stdout.strip()
    assert accounts.program(token) is not None
    listed = run(tmp_path, "list").stdout.splitlines()
    assert listed == ["reviewer anna", "admin    bob (no password: proxy only)", "viewer   orthanc (token)"]
    assert run(tmp_path, "remove", "anna").exit_code == 0
    assert accounts.user("anna") is None
    assert accounts.program(token) is not None
    assert run(tmp_path, "remove", "anna").exit_code == 1


def test_the_command_takes_a_password_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse battery\n")
    assert (
        run(tmp_path, "add", "anna", "--role", "viewer", "--password-file", str(tmp_path / "password")).exit_code == 0
    )
    assert Accounts(tmp_path / "data" / "accounts.yaml").sign_in("anna", "correct horse battery") is not None


def test_the_command_refuses_what_is_no_account(tmp_path: Path) -> None:
    short = run(tmp_path, "add", "anna", "--role", "viewer", typed="short\nshort\n")
    assert (short.exit_code, "must have 12" in short.output) == (1, True)
    odd = run(tmp_path, "add", "a b", "--role", "viewer", "--no-password")
    assert (odd.exit_code, "users.a b" in odd.output) == (1, True)
    assert run(tmp_path, "add", "anna", "--role", "king", "--no-password").exit_code == 2
    (tmp_path / "data" / "accounts.yaml").write_text("groups: {}")
    assert "groups" in run(tmp_path, "list").output
