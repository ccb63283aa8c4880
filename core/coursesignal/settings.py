"""What an operator may set, read once from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from coursesignal.errors import ConfigurationError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One installation's settings; every field has a variable named in :func:`load`."""

    home: Path
    """Where the embedded database, keys and mail files live."""
    database_url: str | None = None
    """An administrator's URL of a real PostgreSQL 18; None starts the embedded one."""
    app_database_url: str | None = None
    ingest_database_url: str | None = None
    queue_url: str | None = None
    """redis://… for many nodes; None keeps the queue in PostgreSQL."""
    base_url: str = "http://127.0.0.1:8000"
    """How the outside reaches us: links in mails, webhook addresses, the snippet."""
    host: str = "127.0.0.1"
    port: int = 8000
    web_processes: int = 1
    smtp_url: str | None = None
    """smtp://user:password@host:port or smtps://…; None writes .eml files under ``home``/mail."""
    mail_from: str = "CourseSignal <no-reply@example.com>"
    plugins_file: Path = Path("plugins.toml")
    tenants_dir: Path = Path("tenants")
    trusted_proxies: tuple[str, ...] = ()
    platform_urls: Mapping[str, str] = {}
    """Base address per platform slug, for a fake platform in demos and tests (COURSESIGNAL_PLATFORM_URL_KAJABI=…)."""
    secret_keys: str | None = None
    """``id:base64,id:base64``; the first seals, all open. None keeps generated keys in ``home``/keys.json."""
    log_level: str = "INFO"
    pool_size: int = 10
    collect_rate: int = 10_000
    """Tracking requests per second that one site key may send to one web process, with bursts of twice that; 0 is no limit."""
    outbound_allow: tuple[str, ...] = ()
    """Where requests to addresses that tenants enter may go beside the internet: ``host``, ``host:port``, ``10.1.0.0/16``."""
    geoip_database: Path | None = None
    """A MaxMind file (GeoLite2-Country or -City) that tells a visitor's country; the address itself is never stored."""
    asn_database: Path | None = None
    """A MaxMind file (GeoLite2-ASN) that tells addresses in data centres."""
    testing: bool = False
    """Cheap password hashing and fast polls; never for people's data."""

    @property
    def mail_dir(self) -> Path:
        return self.home / "mail"


def load(env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from ``env`` (default: the process environment); raise ConfigurationError naming a bad variable."""
    env = os.environ if env is None else env

    def number(name: str, default: int) -> int:
        raw = env.get(name)
        if raw is None or raw == "":
            return default
        try:
            return int(raw)
        except ValueError:
            raise ConfigurationError(f"{name} must be a whole number, not {raw!r}.") from None

    host = env.get("COURSESIGNAL_HOST", "127.0.0.1")
    port = number("COURSESIGNAL_PORT", 8000)
    prefix = "COURSESIGNAL_PLATFORM_URL_"
    return Settings(
        home=Path(env.get("COURSESIGNAL_HOME", ".coursesignal")).absolute(),
        database_url=env.get("DATABASE_URL") or None,
        app_database_url=env.get("COURSESIGNAL_APP_DATABASE_URL") or None,
        ingest_database_url=env.get("COURSESIGNAL_INGEST_DATABASE_URL") or None,
        queue_url=env.get("COURSESIGNAL_QUEUE_URL") or None,
        base_url=env.get("COURSESIGNAL_BASE_URL", f"http://{host}:{port}").rstrip("/"),
        host=host,
        port=port,
        web_processes=number("COURSESIGNAL_WEB_PROCESSES", 1),
        smtp_url=env.get("COURSESIGNAL_SMTP_URL") or None,
        mail_from=env.get("COURSESIGNAL_MAIL_FROM", "CourseSignal <no-reply@example.com>"),
        plugins_file=Path(env.get("COURSESIGNAL_PLUGINS_FILE", "plugins.toml")).absolute(),
        tenants_dir=Path(env.get("COURSESIGNAL_TENANTS_DIR", "tenants")).absolute(),
        trusted_proxies=tuple(p for p in env.get("COURSESIGNAL_TRUSTED_PROXIES", "").split(",") if p),
        platform_urls={k.removeprefix(prefix).lower(): v.rstrip("/") for k, v in env.items() if k.startswith(prefix)},
        secret_keys=env.get("COURSESIGNAL_SECRET_KEYS") or None,
        log_level=env.get("COURSESIGNAL_LOG_LEVEL", "INFO").upper(),
        pool_size=number("COURSESIGNAL_POOL_SIZE", 10),
        collect_rate=number("COURSESIGNAL_COLLECT_RATE", 10_000),
        outbound_allow=tuple(e for e in env.get("COURSESIGNAL_OUTBOUND_ALLOW", "").split(",") if e),
        geoip_database=Path(env["COURSESIGNAL_GEOIP_DATABASE"]) if env.get("COURSESIGNAL_GEOIP_DATABASE") else None,
        asn_database=Path(env["COURSESIGNAL_ASN_DATABASE"]) if env.get("COURSESIGNAL_ASN_DATABASE") else None,
        testing=env.get("COURSESIGNAL_TESTING") == "1",
    )
