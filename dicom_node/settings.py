"""The settings: one YAML file, environment variables MRCLIP__SECTION__KEY on top, defaults here and nowhere else.

A key that nobody knows is an error that names it, in the file and in the environment. `configs/node.yaml` shows every
key with its default.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    IPvAnyAddress,
    SecretStr,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as SourceError

from dicom_node.addresses import is_http_url, is_redis_url
from dicom_node.errors import SettingsError
from dicom_node.settings_file import complaint, read_sections
from dicom_node.settings_values import (
    AeTitle,
    Bytes,
    Count,
    Days,
    Hosts,
    PerMinute,
    Place,
    Port,
    PositiveSeconds,
    Seconds,
    Section,
)
from dicom_node.zones import zone_name

ENVIRONMENT_PREFIX: Final = "MRCLIP__"


class ServerTls(Section):
    """TLS on the port that peers connect to (PS3.15 B.12: BCP 195)."""

    certificate: Place  # PEM, with the intermediate certificates below it
    key: Place  # PEM, without a password
    client_ca: Place | None = None  # PEM: who signs the certificates of peers; null: peers need none
    require_client_certificate: bool = True  # where client_ca is given
    minimum_version: Literal["1.2", "1.3"] = "1.2"


class PeerTls(Section):
    """TLS to a peer that we connect to."""

    ca: Place | None = None  # PEM: who signs the peer's certificate; null: whom the system trusts
    certificate: Place | None = None  # PEM: ours, where the peer wants one
    key: Place | None = None
    server_name: str | None = None  # that its certificate must have; null: its host
    minimum_version: Literal["1.2", "1.3"] = "1.2"

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self


class ScpSettings(Section):
    """The receiving DICOM peer."""

    ae_title: AeTitle = "MRCLIP"
    host: str = "0.0.0.0"  # noqa: S104 - scanners are other machines
    port: Port = 11112  # 0: any free one
    processes: int | None = Field(default=None, ge=1, le=64)  # that receive; null: one a processor core, at most 4
    tls: ServerTls | None = None  # null: without; its port is 2762 by custom
    calling_ae_titles: tuple[AeTitle, ...] = ()  # who may send; empty: everybody
    calling_hosts: Hosts = Field(default_factory=Hosts)  # from where a title may; others from everywhere
    accept_other_storage: Literal["refuse", "store"] = "refuse"  # storage classes that are not MR
    # How another data set under a known UID is answered, which is kept aside: success (0000), refuse (0111).
    duplicates: Literal["success", "refuse"] = "success"
    max_associations: Count = 25
    max_connections_per_peer: Count = 10  # by address; an idle one gives way to a new one
    max_pdu_bytes: int = Field(default=131072, ge=4096, le=1048576)
    max_instance_bytes: Annotated[Bytes, Field(ge=1 << 20)] = 1 << 30  # a data set is in memory until it is stored
    acse_timeout_s: PositiveSeconds = 10  # from the connection, or its TLS handshake, to the association request
    network_timeout_s: PositiveSeconds = 60  # without a byte, or within one PDU or TLS handshake
    stop_timeout_s: Seconds = 10  # for associations that are open when the node stops


class SpoolSettings(Section):
    """The folder that holds everything that was received and made."""

    path: Place = Path("mrclip-data/spool")
    reserve_bytes: Bytes = 1 << 30  # kept free; instances are refused (A700) before it is touched
    # s3://bucket/prefix, file:///mnt/mrclip or another URL of fsspec, for workers that do not share `path`: series are
    # copied there before they are read, and reports come back that way. null: workers share `path`.
    url: SecretStr | None = None


class LedgerSettings(Section):
    """The database that indexes the spool."""

    database_url: SecretStr | None = None  # sqlite:///file or postgresql://…; null: ledger.sqlite3 beside the spool
    busy_timeout_s: PositiveSeconds = 30  # how long one writer waits for another


class QueueSettings(Section):
    """Who does the work."""

    broker_url: SecretStr | None = None  # redis://…; null: threads of this process

    @field_validator("broker_url")
    @classmethod
    def _is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not is_redis_url(value.get_secret_value()):
            raise ValueError("must be redis://HOST:PORT/DATABASE, or rediss:// over TLS")
        return value


class SeriesSettings(Section):
    """When a series is complete enough to be read."""

    quiet_s: Seconds = 30  # since its last instance
    quiet_after_release_s: Seconds = 2  # since nobody has an association open that sent some of it


class ReaderSettings(Section):
    """What reads."""

    # A bundle folder, or a registry folder with ACTIVE; none: rules alone; null: the one in the package.
    bundle: str | None = Field(default=None, min_length=1)
    backend: Literal["onnx", "torchscript"] = "onnx"  # what runs the bundle; torchscript needs the extra `training`
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: CUDA where it works; cuda: nowhere else
    alarm_rate: float = Field(default=0.01, gt=0, lt=1)  # share of clean series that may be flagged by the image
    threads: int = Field(default=1, ge=1, le=1024)  # series read at once
    batch: Count | None = None  # slices of several series encoded at once; for a GPU


class WorkSettings(Section):
    """Leases and retries."""

    lease_s: PositiveSeconds = 60  # work whose worker is not heard of for so long is given to another one
    sweep_interval_s: PositiveSeconds = 1  # how often the ledger is asked what is due
    retry_s: PositiveSeconds = 10  # wait after the first failure; doubled after each further one ...
    retry_max_s: PositiveSeconds = 900  # ... up to this
    reading_max_attempts: Count = 5  # then the series is quarantined with its reason
    delivery_max_attempts: Count = 300  # then the delivery is dead; about three days


class ReportSettings(Section):
    """Which series get a report."""

    send: Literal["answered", "flagged", "all"] = "answered"  # answered: a stack was read, or a finding
    secondary_capture: bool = False  # a picture of each stack beside the report
    key_objects: bool = False  # a Key Object Selection "Quality Issue" beside the report on a flagged series
    timezone: Annotated[str, AfterValidator(zone_name)] = "UTC"  # of its dates and times where the images name none


class DicomDestination(Section):
    """A storage SCP that gets reports."""

    name: str = Field(min_length=1, max_length=128)
    ae_title: AeTitle
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    tls: PeerTls | None = None
    commitment: bool = False  # it must commit to a report (Storage Commitment) before that counts as delivered
    per_minute: PerMinute | None = None  # null: no limit


class FolderDestination(Section):
    """A folder that gets reports."""

    name: str = Field(min_length=1, max_length=128)
    folder: Place
    per_minute: PerMinute | None = None  # null: no limit


def _kind(destination: object) -> str:
    """A destination is a folder if it says so; else its errors are those of a DICOM peer."""
    return "folder" if isinstance(destination, FolderDestination) or "folder" in _keys(destination) else "dicom"


def _keys(value: object) -> Iterable[object]:
    return cast("dict[object, object]", value) if isinstance(value, dict) else ()


Destination = Annotated[
    Annotated[DicomDestination, Tag("dicom")] | Annotated[FolderDestination, Tag("folder")], Discriminator(_kind)
]


class CommitmentPeer(Section):
    """Who asks for Storage Commitment, and where it takes the report once its association has ended."""

    ae_title: AeTitle  # it asks with
    host: str
    port: Annotated[int, Field(ge=1, le=65535)]
    tls: PeerTls | None = None


class CommitmentSettings(Section):
    """Storage Commitment: senders ask us if what they sent is safe, and we ask destinations."""

    enabled: bool = True  # senders may ask
    answer_s: PositiveSeconds = 3600  # destinations that have not answered by then are asked again ...
    max_asks: Count = 24  # ... so many times in all; then the delivery is dead; who refuses waits up to answer_s, too
    peers: tuple[CommitmentPeer, ...] = ()  # senders that take answers; others only while their association is open


class RetentionSettings(Section):
    """What is removed, and when. Series that are not answered, and reports, never are."""

    # Images of answered series, since their last instance. Not sooner than a minute: its row may come a little late.
    answered_days: Annotated[Days, Field(ge=0.001)] | None = None
    removes_committed: bool = False  # also where senders may have been told that their instances are safe
    quarantine_days: Days | None = None  # files that were refused or kept aside
    interval_s: PositiveSeconds = 3600  # how often it is looked for


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class OrthancSource(Section):
    """An Orthanc that series are fetched from when it tells of them."""

    url: str
    username: str | None = None
    password: SecretStr | None = None

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if not is_http_url(value):
            raise ValueError("must be http://HOST:PORT or https://…; user and password go into username and password")
        return value


class WebSettings(Section):
    """The HTTP interface and the page."""

    host: str = "127.0.0.1"
    port: Port = 8104
    names: tuple[str, ...] = ()  # host names it is asked for by, besides localhost and IP addresses
    sign_in: Literal["none", "accounts", "proxy"] | None = None  # null: none, which needs a loopback host
    accounts: Place | None = None  # who may sign in, as `mrclip users` writes it; null: accounts.yaml beside the spool
    proxy_user_header: str = "X-Remote-User"  # where a proxy says who signed in with it
    proxy_addresses: tuple[IPvAnyAddress, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))  # who may say so
    https: bool = False  # a proxy serves it over HTTPS: browsers send the session over nothing else
    show_patient: bool = True  # PatientID, accession number and study date, to those who signed in
    orthancs: tuple[OrthancSource, ...] = ()  # that series are fetched from, where they tell of them

    @model_validator(mode="after")
    def _others_sign_in(self) -> Self:
        if self.sign_in is None and not _is_loopback(self.host):
            raise ValueError("sign_in must say accounts, proxy or none where host is not a loopback address")
        return self


class TracingSettings(Section):
    """Spans for OpenTelemetry (extra `otel`)."""

    # A collector that speaks OTLP over HTTP, such as http://collector:4318/v1/traces; null: no spans.
    otlp_endpoint: str | None = None

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is not None and not is_http_url(value):
            raise ValueError("must be http://HOST:PORT/v1/traces or https://…, without user and password")
        return value


class Settings(BaseSettings):
    """The whole tree. Build it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # an input may be a URL with its password
    )

    scp: ScpSettings = ScpSettings()
    spool: SpoolSettings = SpoolSettings()
    ledger: LedgerSettings = LedgerSettings()
    queue: QueueSettings = QueueSettings()
    series: SeriesSettings = SeriesSettings()
    reader: ReaderSettings = ReaderSettings()
    work: WorkSettings = WorkSettings()
    report: ReportSettings = ReportSettings()
    destinations: tuple[Destination, ...] = ()
    commitment: CommitmentSettings = CommitmentSettings()
    retention: RetentionSettings = RetentionSettings()
    web: WebSettings = WebSettings()
    tracing: TracingSettings = TracingSettings()

    @property
    def database_url(self) -> str:
        """Where the ledger is."""
        if self.ledger.database_url is not None:
            return self.ledger.database_url.get_secret_value()
        return f"sqlite:///{self.spool.path.absolute().parent / 'ledger.sqlite3'}"

    @property
    def accounts_file(self) -> Path:
        """Where the accounts of the web part are."""
        return self.web.accounts or self.spool.path.absolute().parent / "accounts.yaml"

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [destination.name for destination in self.destinations]
        if len(set(names)) != len(names):
            raise ValueError("destinations must have different names")
        return self

    @model_validator(mode="after")
    def _who_reads_from_a_url(self) -> Self:
        if self.spool.url is not None and self.queue.broker_url is None:
            raise ValueError("spool.url is for workers: set queue.broker_url, or spool.url to null")
        return self

    @model_validator(mode="after")
    def _what_is_committed_stays(self) -> Self:
        retention = self.retention
        if retention.answered_days is not None and self.commitment.enabled and not retention.removes_committed:
            raise ValueError(
                "retention.answered_days removes instances that senders may have been told are safe: "
                "set retention.removes_committed to true, or commitment.enabled to false"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file; there is no third place."""
        return env_settings, init_settings


class _Given(Settings):
    """Settings that the environment has no part in."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What was given, and the defaults."""
        return (init_settings,)


def given_settings(sections: Mapping[str, Any]) -> Settings:
    """The settings of `sections` alone: Settings itself would look into the environment whichever way it is built."""
    return _Given.model_validate(sections)


def load_settings(file: Path | None = None) -> Settings:
    """The settings of `file` and the environment; SettingsError names every key that is unknown or wrong."""
    values = {} if file is None else read_sections(file)
    ours = [name for name in os.environ if name.upper().startswith(ENVIRONMENT_PREFIX)]
    unknown = [name for name in ours if not _is_section(name)]
    if unknown:
        raise SettingsError(f"environment: unknown {', '.join(sorted(unknown))}")
    twice = [name for name, count in Counter(map(str.upper, ours)).items() if count > 1]
    if twice:
        raise SettingsError(f"environment: {', '.join(sorted(twice))} stands twice, once in other letters")
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError("; ".join(complaint(item) for item in error.errors())) from None
    except SourceError:
        wrong = ", ".join(sorted(name for name in ours if not _is_understood(name)))
        raise SettingsError(f'environment: {wrong} must be JSON, such as ["A", "B"] or {{"key": "A"}}') from None


def _is_section(variable: str) -> bool:
    return variable.split("__")[1].lower() in Settings.model_fields


def _is_understood(variable: str) -> bool:
    """Whether the environment could be read if there were this variable alone; an error says of none which it was."""
    source = EnvSettingsSource(Settings)
    source.env_vars = {variable.lower(): os.environ[variable]}
    try:
        source()
    except SourceError:
        return False
    return True
