"""The base of every section of a configuration: strict keys, marked paths, types of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from typing_extensions import Self

CONFLICT = "conflict"
"""Type of a pydantic error about keys that contradict each other."""

SMALLEST, LARGEST = 1e-30, 1e20
"""A smaller number is zero in float32 arithmetic, a larger one soon infinite."""

PATH = "path"
"""Marks a key that holds paths of files or folders, as in `Annotated[str, PATH]`.

A marked key is made absolute when it is a key of `data`, and a bundle never shows its folders.
"""


def conflict(key: str, sentence: str) -> PydanticCustomError:
    """An error about several keys. It is reported on the line of `key`, as this sentence."""
    return PydanticCustomError(CONFLICT, "{sentence}", {"key": key, "sentence": sentence})


def _is_float32(number: float) -> float:
    if number < SMALLEST:
        raise PydanticCustomError("too_small", "1e-30 or more")
    if number > LARGEST:
        raise PydanticCustomError("too_large", "1e20 or less")
    return number


Count = Annotated[int, Field(ge=1, lt=2**31)]
Positive = Annotated[
    float, Field(gt=0.0, json_schema_extra={"maximum": LARGEST}), AfterValidator(_is_float32)
]
LocalPath = Annotated[str, PATH]
OptionalLocalPath = Annotated[str | None, PATH]
LocalPaths = Annotated[str | list[str], PATH]


class Section(BaseModel):
    """A frozen section. It refuses unknown keys and does not convert types: "3" is no number."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    @classmethod
    def path_keys(cls) -> list[str]:
        """The keys that hold paths."""
        return [name for name, field in cls.model_fields.items() if PATH in field.metadata]

    def with_paths(self, rename: Callable[[str], str]) -> Self:
        """A copy in which `rename` has been applied to every path."""

        def renamed(value: str | list[str] | None) -> str | list[str] | None:
            if isinstance(value, list):
                return [rename(path) for path in value]
            return value if value is None else rename(value)

        return self.model_copy(
            update={key: renamed(getattr(self, key)) for key in self.path_keys()}
        )
