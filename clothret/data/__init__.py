"""DeepFashion2: sources → archives → tables → datasets in the lake."""

from clothret.data.dataset import Dataset, open_dataset
from clothret.data.ingest import IngestReport, ingest

__all__ = ["Dataset", "IngestReport", "ingest", "open_dataset"]
