"""Comparing a value with what a test expects of it: of objects only the keys that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from outbox_notify.text import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 300


def differences(expected: Any, actual: Any, name: str) -> Iterator[str]:
    """Yield one line for each difference.

    Args:
        expected: a mapping for an object that has these keys at least; a list for one of the same length; a type for
            a value of it; a function that returns whether a value is right; or else what the value is equal to.
        actual: what there is.
        name: of the value, at the beginning of each line.
    """
    if isinstance(expected, type):
        if not isinstance(actual, expected):
            yield f"{name} is {shown(actual)}, not of type {shown(expected)}"
    elif callable(expected):
        if not expected(actual):
            yield f"{name} is {shown(actual)}, and {shown(expected)} says no"
    elif isinstance(expected, Mapping) and isinstance(actual, Mapping):
        yield from _in_object(expected, actual, name)
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        yield from _in_list(expected, actual, name)
    elif not _same(expected, actual):
        yield f"{name} is {shown(actual)}, not {shown(expected)}"


def shown(value: object) -> str:
    """Return a value as a failure shows it; types and functions by their name."""
    name = getattr(value, "__name__", None)
    return shortened(name if isinstance(name, str) else repr(value), _LONGEST)


def _in_object(expected: Mapping[Any, Any], actual: Mapping[Any, Any], name: str) -> Iterator[str]:
    for key, value in expected.items():
        if key in actual:
            yield from differences(value, actual[key], f"{name}.{key}")
        else:
            yield f"{name}.{key} is missing"


def _in_list(expected: Sequence[Any], actual: Sequence[Any], name: str) -> Iterator[str]:
    for place, (value, found) in enumerate(zip(expected, actual, strict=True)):
        yield from differences(value, found, f"{name}[{place}]")


def _same(expected: Any, actual: Any) -> bool:
    """Return whether values are equal, as JSON has it: 1 is not true."""
    return isinstance(expected, bool) == isinstance(actual, bool) and bool(expected == actual)
