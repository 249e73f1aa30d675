"""The lake: files, leases, models and generations, on a disk or on S3."""

from clothret.lake.lease import Lease, hold_lease
from clothret.lake.models import ModelRegistry
from clothret.lake.storage import Entry, Storage, open_storage

__all__ = ["Entry", "Lease", "ModelRegistry", "Storage", "hold_lease", "open_storage"]
