"""Labelled images: `load` reads digits, TFDS names, folders and arrays as one `Dataset` of seeded, disjoint splits."""

from kattn.data.errors import DataError as DataError
from kattn.data.loading import Dataset as Dataset
from kattn.data.loading import Split as Split
from kattn.data.loading import load as load
