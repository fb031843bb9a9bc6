"""Text that is safe to print: one line, no control characters, of bounded length."""

from __future__ import annotations

LONGEST = 500


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return the text cut to `longest` characters, with line breaks and all that is not printable escaped."""
    cut = shortened(text, longest)
    return cut if cut.isprintable() else "".join(map(_visible, cut))


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return the text cut to `longest` characters, the last three of them dots when something was cut."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _visible(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]
