"""Where settings come from: flag, environment, TOML file, systemd's credentials, default; the first wins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from outbox_notify.config_rules import conflicts
from outbox_notify.errors import ConfigError
from outbox_notify.settings import PREFIX, Settings, declarations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DEFAULT_FILE", "Loaded", "Settings", "load_settings"]

DEFAULT_FILE = Path("outbox-notify.toml")


class Loaded(NamedTuple):
    """Settings, where each one came from by name, and what the user should know about the environment."""

    settings: Settings
    sources: dict[str, str]
    warnings: list[str]


class _Given(NamedTuple):
    """A value as somebody wrote it; `label` is what they would call it, `source` where it stands."""

    text: str
    label: str
    source: str


_Layer = dict[str, _Given]


def load_settings(
    flags: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] | None = None,
    config_file: Path | None = None,
) -> Loaded:
    """Read all settings, and report everything that is wrong with them together.

    Args:
        flags: values of command line options by setting; None means not given.
        environ: the environment; the process's own by default.
        config_file: a TOML file that must exist; by default `outbox-notify.toml` is read when there is one.

    Raises:
        ConfigError: with one text for each problem; none repeats a secret.
    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    given: _Layer = {
        **_from_credentials(environ.get("CREDENTIALS_DIRECTORY", ""), problems),
        **_from_file(config_file, problems),
        **_from_environment(environ, problems),
        **_from_flags(flags or {}),
    }
    settings, bad = _read(given, problems)
    problems += [conflict.text for conflict in conflicts(settings) if not bad & conflict.settings]
    if problems:
        raise ConfigError(problems)
    sources = {name: given[name].source if name in given else "default" for name in declarations()}
    return Loaded(settings, sources, _warnings(environ))


def _read(given: _Layer, problems: list[str]) -> tuple[Settings, set[str]]:
    """Return settings from the good values, and the names of the others."""
    good, bad = {}, set()
    for name, declaration in declarations().items():
        if name not in given:
            continue
        text, label, _ = given[name]
        try:
            good[name] = declaration.kind.read(text)
        except ValueError as error:
            shown = "" if declaration.secret else f" {_shortened(text)}"
            problems.append(f"{label}{shown} {error}")
            bad.add(name)
    return Settings(**good), bad


def _shortened(text: str) -> str:
    shown = ascii(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _from_flags(flags: Mapping[str, str | None]) -> _Layer:
    options = {name: f"--{name.replace('_', '-')}" for name in flags}
    return {
        name: _Given(text, options[name], f"flag {options[name]}")
        for name, text in flags.items()
        if text is not None
    }


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> _Layer:
    """Take known variables. An empty one counts as not set: so are those that compose files pass on."""
    texts = {name: environ[name] for name in environ if name.startswith(PREFIX) and environ[name]}
    names = {name: name.removeprefix(PREFIX).lower() for name in texts}
    labels = {names[name]: name for name in texts}
    known = {names[name]: texts[name] for name in texts if name.isupper()}
    return _with_secret_files(known, labels, "environment ", problems)


def _from_file(config_file: Path | None, problems: list[str]) -> _Layer:
    path = config_file or DEFAULT_FILE
    if config_file is None and not path.is_file():
        return {}
    table = _toml(path, problems)
    problems += [f"{path}: {_unknown(key, _file_keys())}" for key in table if key not in _file_keys()]
    problems += [
        f"{path}: {key} must be a single value" for key in table if isinstance(table[key], dict | list)
    ]
    texts = {key: _toml_text(value) for key, value in table.items() if not isinstance(value, dict | list)}
    return _with_secret_files(texts, {key: f"{path}: {key}" for key in texts}, "file ", problems)


def _toml(path: Path, problems: list[str]) -> dict[str, object]:
    import tomllib  # noqa: PLC0415  # read only when there is a file; keeps `--help` quick

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"{path}: {error.strerror}")
    except ValueError as error:
        problems.append(f"{path}: not a TOML file: {str(error).partition(chr(10))[0]}")
    return {}


def _toml_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _with_secret_files(
    texts: Mapping[str, str], labels: Mapping[str, str], source: str, problems: list[str]
) -> _Layer:
    """Take known settings from one layer, and those that it keeps in files: `<setting>_file`."""
    layer = {}
    for declaration in declarations().values():
        name, in_file = declaration.name, f"{declaration.name}_file"
        if name in texts:
            layer[name] = _Given(
                texts[name], labels[name], f"{source}{labels[name].removesuffix(f': {name}')}"
            )
        if declaration.secret and in_file in texts:
            if name in texts:
                problems.append(f"{labels[name]} and {labels[in_file]} are both set: keep one")
            secret = _secret_file(Path(texts[in_file]), labels[in_file], problems)
            if secret is not None:
                layer.setdefault(name, _Given(secret, labels[in_file], f"{source}{labels[in_file]}"))
    return layer


def _from_credentials(directory: str, problems: list[str]) -> _Layer:
    """Take what systemd put into the credentials directory: secrets by content, key files by path."""
    layer = {}
    for declaration in declarations().values() if directory else ():
        path, label = Path(directory, declaration.name), f"credential {declaration.name}"
        if (declaration.secret or declaration.path) and path.exists():
            text = str(path) if declaration.path else _secret_file(path, label, problems)
            if text is not None:
                layer[declaration.name] = _Given(text, label, label)
    return layer


def _secret_file(path: Path, label: str, problems: list[str]) -> str | None:
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        problems.append(f"{label}: cannot read {path}: {error.strerror}")
    except ValueError:
        problems.append(f"{label}: {path} is not UTF-8 text")
    else:
        if text:
            return text
        problems.append(f"{label}: {path} is empty")
    return None


def _file_keys() -> list[str]:
    secrets = [f"{item.name}_file" for item in declarations().values() if item.secret]
    return [*declarations(), *secrets]


def _warnings(environ: Mapping[str, str]) -> list[str]:
    known = [PREFIX + key.upper() for key in _file_keys()]
    strangers = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return [f"{_unknown(name, known)}; ignored" for name in strangers]


def _unknown(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  # only for mistakes; keeps `--help` quick

    close = get_close_matches(name, list(known), n=1, cutoff=0.8)
    return f"{name} is not a setting" + (f" (did you mean {close[0]}?)" if close else "")
