"""Program that a test kills: ingest a folder into a lake."""

import sys

from clothret.data import ingest
from clothret.lake.storage import open_storage

if __name__ == "__main__":
    source, lake, password = sys.argv[1:4]
    print(ingest(source, open_storage(lake), password=password).version)
