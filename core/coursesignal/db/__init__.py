"""The database: embedded server, roles, tenant-bound transactions, migrations."""

from coursesignal.db.engine import ENGINE, Database, NoTenant
from coursesignal.db.ids import uuid7

__all__ = ["ENGINE", "Database", "NoTenant", "uuid7"]
