"""What an address tells before it is forgotten: its country, and whether it belongs to a hosting company.

Both come from MaxMind files that the operator may provide; without them nothing is told. The address itself is never kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import maxminddb

from coursesignal.errors import ConfigurationError


class Network(NamedTuple):
    """An ISO 3166 code, and whether a hosting company owns the address; None where that is not known."""

    country: str | None = None
    hosted: bool | None = None


UNKNOWN = Network()

# Words in the names of networks that rent out servers; people's own networks have none of them.
_HOSTING = re.compile(
    r"\bhosting\b|\bcloud\b|data ?cent|\bvps\b|\bservers?\b|amazon-0?2|amazon-aes|amazon\.com|digitalocean|hetzner|\bovh\b|"
    r"linode|akamai connected|vultr|choopa|constant company|leaseweb|contabo|scaleway|online s\.?a\.?s|alibaba|tencent|oracle-|"
    r"softlayer|rackspace|\bm247\b|hostwinds|datacamp|quadranet|colocrossing|psychz|netcup|upcloud|kamatera|hostinger|godaddy",
    re.IGNORECASE,
)


class Networks:
    """The operator's files, open for the life of the process."""

    def __init__(self, countries: Path | None, networks: Path | None) -> None:
        self._countries = _opened(countries, "COURSESIGNAL_GEOIP_DATABASE")
        self._networks = _opened(networks, "COURSESIGNAL_ASN_DATABASE")

    def of(self, address: str) -> Network:
        """What is known of an address; nothing for what is no address."""
        if self._countries is None and self._networks is None:
            return UNKNOWN
        try:
            parsed = ip_address(address)
        except ValueError:
            return UNKNOWN
        country = None if self._countries is None else _country(_found(self._countries, parsed))
        hosted = None if self._networks is None else _is_hosting(_found(self._networks, parsed))
        return Network(country, hosted)


def _opened(path: Path | None, setting: str) -> maxminddb.Reader | None:
    if path is None:
        return None
    try:
        return maxminddb.open_database(path)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        raise ConfigurationError(f"{setting}: {path} is no MaxMind database that can be read ({error}).") from None


def _found(reader: maxminddb.Reader, address: Any) -> Mapping[str, Any]:
    """The file's record of the address; a file of IPv4 knows no other, and a damaged one costs a country, not an event."""
    try:
        record = reader.get(address)
    except (ValueError, maxminddb.InvalidDatabaseError):
        return {}
    return record if isinstance(record, dict) else {}


def _country(record: Mapping[str, Any]) -> str | None:
    for part in ("country", "registered_country"):
        code = (record.get(part) or {}).get("iso_code")
        if isinstance(code, str) and len(code) == 2:
            return code.upper()
    return None


def _is_hosting(record: Mapping[str, Any]) -> bool:
    if record.get("is_hosting_provider") or (record.get("traits") or {}).get("user_type") == "hosting":
        return True
    return bool(_HOSTING.search(str(record.get("autonomous_system_organization", ""))))
