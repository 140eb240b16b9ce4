"""Labelled images: `load` reads digits, TFDS names, folders and arrays as one `Dataset` of seeded, disjoint splits.

`read_image` reads one image file as `load` does.
"""

from typing import TYPE_CHECKING

from kattn.lazy import face

if TYPE_CHECKING:
    from kattn.data import images as images
    from kattn.data.augmentation.augment import Augment as Augment
    from kattn.data.augmentation.augment import Mix as Mix
    from kattn.data.batches import Batches as Batches
    from kattn.data.dataset import Dataset as Dataset
    from kattn.data.dataset import Split as Split
    from kattn.data.errors import DataError as DataError
    from kattn.data.images import Reading as Reading
    from kattn.data.images import read_image as read_image
    from kattn.data.loading import load as load
    from kattn.data.stored import StoredImages as StoredImages

__getattr__, __dir__ = face(
    __name__,
    {
        "Augment": "augmentation.augment",
        "Batches": "batches",
        "DataError": "errors",
        "Dataset": "dataset",
        "Mix": "augmentation.augment",
        "Reading": "images",
        "Split": "dataset",
        "StoredImages": "stored",
        "images": "",
        "load": "loading",
        "read_image": "images",
    },
)
