"""Attention put into a functional model that exists."""

from typing import TYPE_CHECKING

from kattn.lazy import face

if TYPE_CHECKING:
    from kattn.insertion.inserting import insert as insert

__getattr__, __dir__ = face(
    __name__,
    {
        "insert": "inserting",
    },
)
