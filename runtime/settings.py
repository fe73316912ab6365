"""YAML files into typed, frozen settings, with errors that say where and what was expected.

Strict on purpose: unknown keys, keys given twice and YAML aliases are refused, because a
misspelt key that silently does nothing is how a link goes unmonitored for a month. Files are
read from the local disk only and are bounded in size before they are parsed.
"""

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32
T = TypeVar("T")

_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class SettingsError(ValueError):
    """A settings file that cannot be used; the text names file, place and expected form."""


class _StrictLoader(_SafeLoader):  # type: ignore[misc,valid-type]
    """Safe YAML without repeated keys."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refused("a key has to be a plain word", key.start_mark)
            if key.value in seen:
                raise _refused(f"key {key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


def _refused(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _check_events(text: str) -> None:
    """Refuse aliases (they can be made to explode) and deep nesting, before anything is built.

    On the events, because the C loader composes nodes out of reach of a subclass.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _refused("aliases are not used here: write the value out", event.start_mark)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _refused("nested too deeply", event.start_mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _place(file: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).replace("\n", " ")
    where = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
    return f"{file}{where}: {problem}"


def read_yaml(file: Path) -> Any:
    """The file's content as plain data. Raises SettingsError."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise SettingsError(f"{file}: larger than {MAX_FILE_BYTES} bytes")
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: byte {error.start} is not UTF-8 text") from error
    try:
        _check_events(text)
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise SettingsError(_place(file, error)) from error
    except ValueError as error:
        # Plain words that look like a date or a number and are none, such as 2024-13-45.
        raise SettingsError(f"{file}: a value that YAML cannot read: {error}") from error


def explain(file: Path, error: msgspec.ValidationError, within: str = "") -> SettingsError:
    """The error of a conversion, as `file: path: expected form`; `within` is where it was done."""
    text, _, place = str(error).partition(" - at `")
    path = (within + place.rstrip("`").removeprefix("$")).removeprefix(".")
    return SettingsError(f"{file}: {path}: {text}" if path else f"{file}: {text}")


def load(file: Path, form: type[T]) -> T:
    """The file as a `form` (a msgspec Struct with forbid_unknown_fields). Raises SettingsError."""
    data = read_yaml(file)
    if data is None:
        raise SettingsError(f"{file}: empty, expected a mapping of settings")
    return convert(file, data, form)


def convert(file: Path, data: Any, form: type[T], within: str = "") -> T:
    """Plain data, which stands in the file at `within`, as a `form`. Raises SettingsError."""
    try:
        return msgspec.convert(data, form)
    except msgspec.ValidationError as error:
        raise explain(file, error, within) from error
