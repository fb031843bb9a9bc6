"""Where settings come from: flags, the environment, a TOML file, files of secrets, systemd's credentials."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from outbox_notify.config.settings import PREFIX, declarations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

DEFAULT_FILE = Path("outbox-notify.toml")


class Given(NamedTuple):
    """A value as somebody wrote it; `label` is what they would call it, `source` where it stands."""

    text: str
    label: str
    source: str


Layer = dict[str, Given]


class _Origin(NamedTuple):
    """How the values of one layer are called."""

    label: Callable[[str], str]
    source: Callable[[str], str]

    def of(self, key: str) -> tuple[str, str]:
        return self.label(key), self.source(key)


def from_flags(flags: Mapping[str, str | None]) -> Layer:
    """Take options that were given; None means not given."""
    options = {name: f"--{name.replace('_', '-')}" for name in flags}
    return {
        name: Given(text, options[name], f"flag {options[name]}")
        for name, text in flags.items()
        if text is not None
    }


def from_environment(environ: Mapping[str, str], problems: list[str]) -> Layer:
    """Take known variables. An empty one counts as not set: so are those that compose files pass on."""
    names = [name for name in environ if name.startswith(PREFIX) and name.isupper() and environ[name]]
    texts = {name.removeprefix(PREFIX).lower(): environ[name] for name in names}
    origin = _Origin(_variable, lambda key: f"environment {_variable(key)}")
    return _with_secret_files(texts, origin, problems)


def from_file(path: Path | None, problems: list[str]) -> Layer:
    """Take the keys of a TOML file; by default of `outbox-notify.toml` in the working directory, if any."""
    table = _toml(path or DEFAULT_FILE, problems, optional=path is None)
    path, known = path or DEFAULT_FILE, _keys()
    problems += [f"{path}: {_unknown(key, known)}" for key in table if key not in known]
    nested = [key for key in table if key in known and isinstance(table[key], dict | list)]
    problems += [f"{path}: {key} must be a single value" for key in nested]
    texts = {key: _toml_text(value) for key, value in table.items() if key not in nested}
    return _with_secret_files(
        texts, _Origin(lambda key: f"{path}: {key}", lambda _: f"file {path}"), problems
    )


def _toml(path: Path, problems: list[str], *, optional: bool) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        if not (optional and isinstance(error, FileNotFoundError)):
            problems.append(f"{path}: {error.strerror}")
        return {}
    except UnicodeDecodeError:
        problems.append(f"{path}: not UTF-8 text")
        return {}
    return _parsed(text, path, problems)


def _parsed(text: str, path: Path, problems: list[str]) -> dict[str, object]:
    import tomllib  # noqa: PLC0415  # read only when there is a file; keeps `--help` quick

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"\(at [a-z0-9, ]+\)$", str(error))
        problems.append(f"{path}: not TOML {where[0] if where else ''}".rstrip())
        return {}


def _toml_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _variable(key: str) -> str:
    return PREFIX + key.upper()


def _with_secret_files(texts: Mapping[str, str], origin: _Origin, problems: list[str]) -> Layer:
    """Take known settings from one layer, and those that it keeps in files: `<setting>_file`."""
    layer = {name: Given(texts[name], *origin.of(name)) for name in declarations() if name in texts}
    for name in [f"{item.name}_file" for item in declarations().values() if item.secret]:
        if name not in texts:
            continue
        label, source = origin.of(name)
        setting = name.removesuffix("_file")
        if setting in layer:
            problems.append(f"{layer[setting].label} and {label} are both set: keep one")
        secret = _secret_file(Path(texts[name]), label, problems)
        if secret is not None:
            layer.setdefault(setting, Given(secret, label, source))
    return layer


def from_credentials(directory: str, problems: list[str]) -> Layer:
    """Take what systemd put into its credentials directory: secrets by content, key files by path."""
    layer = {}
    for declaration in declarations().values():
        path, label = Path(directory, declaration.name), f"credential {declaration.name}"
        if not (directory and (declaration.secret or declaration.path) and _exists(path)):
            continue
        text = str(path) if declaration.path else _secret_file(path, label, problems)
        if text is not None:
            layer[declaration.name] = Given(text, label, label)
    return layer


def strangers(environ: Mapping[str, str]) -> list[str]:
    """Return a text for each variable with our prefix that is no setting; Kubernetes invents some."""
    known = [_variable(key) for key in _keys()]
    names = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return [_unknown(name, known) for name in names]


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True  # reading it will say what is wrong
    return True


def _secret_file(path: Path, label: str, problems: list[str]) -> str | None:
    """Return the content without its last newline. A relative path is not shown: it may be the secret."""
    shown = path if path.is_absolute() else "the file"
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        problems.append(f"{label}: cannot read {shown}: {error.strerror}")
    except ValueError:
        problems.append(f"{label}: {shown} is not UTF-8 text")
    else:
        if text:
            return text
        problems.append(f"{label}: {shown} is empty")
    return None


def _keys() -> list[str]:
    secrets = [f"{item.name}_file" for item in declarations().values() if item.secret]
    return [*declarations(), *secrets]


def _unknown(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  # only for mistakes; keeps `--help` quick

    close = get_close_matches(name, list(known), n=1, cutoff=0.8)
    return f"{name} is not a setting" + (f" (did you mean {close[0]}?)" if close else "")
