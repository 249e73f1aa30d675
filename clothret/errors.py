"""Every error clothret raises on purpose.

ClothretError
├── InputError                what the caller gave is wrong; the command line exits with 2
│   ├── CatalogError          items table, image folder, catalog name
│   ├── DatasetError          DeepFashion2 sources: archive, password, layout, annotation
│   ├── FilterError           a `where` expression
│   ├── ImageError            a file that is no picture, or one past the limits
│   ├── MaskError             a mask that cannot be described
│   │   └── EmptyMaskError    a mask that selects no pixel
│   ├── NotFoundError         a model, dataset, catalog, generation or garment the lake lacks
│   └── SettingsError         configuration
├── ArtifactError             a file of the lake is missing, damaged or of another schema
├── StorageError              the disk or the bucket failed
│   └── ConflictError         another writer was first
├── LeaseError                the right to write is held by another, or was lost
├── ReindexAbortedError       a guard stopped a reindex before it published
└── TrainingError             a training stopped
    └── TrainingDivergedError a loss became infinite or NaN

Mistakes in calling code stay `ValueError` and `TypeError`. A message says what was expected,
what was found, and where.
"""


class ClothretError(Exception):
    """Root of the tree."""


class InputError(ClothretError):
    """What the caller gave is wrong."""


class CatalogError(InputError):
    """An items table, an image folder or a catalog name is not as expected."""


class DatasetError(InputError):
    """A DeepFashion2 source is missing, locked, damaged or laid out otherwise."""


class FilterError(InputError):
    """A `where` expression is not one safe boolean expression over known columns."""


class ImageError(InputError):
    """A file is no picture, is damaged, or is larger than allowed."""


class MaskError(InputError):
    """A mask cannot be described."""


class EmptyMaskError(MaskError):
    """A mask selects no pixel."""


class NotFoundError(InputError):
    """The lake holds no such model, dataset, catalog, generation or garment."""


class SettingsError(InputError):
    """A setting is unknown, malformed or out of range."""


class ArtifactError(ClothretError):
    """A file of the lake is missing, damaged or of another schema."""


class StorageError(ClothretError):
    """The disk or the bucket failed."""


class ConflictError(StorageError):
    """Another writer changed the object first."""


class LeaseError(ClothretError):
    """The right to write is held by another process, or was lost."""


class ReindexAbortedError(ClothretError):
    """A guard stopped a reindex before it published; the old generation still serves."""


class TrainingError(ClothretError):
    """A training stopped."""


class TrainingDivergedError(TrainingError):
    """A loss became infinite or NaN."""
