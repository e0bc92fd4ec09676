"""Text to plain data and back, for study files.

Files are read by the core schema of YAML 1.2 and written so that readers of YAML 1.1 agree.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from search_spaces.errors import StudyError, choose_from

DEEPEST = 100
"""Most lists and mappings inside one another."""

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Of PyYAML, whose part in C is ten times as fast."""


def _integer(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _number(text: str) -> float:
    return float(re.sub(r"\.(?=[iInN])", "", text))  # .inf and .nan


_RULES: list[tuple[str, re.Pattern[str], list[str], Callable[[str], object]]] = [
    (f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), [*first], read)
    for tag, pattern, first, read in (
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF", lambda text: text[0] in "tT"),
        ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789", _integer),
        (
            "float",
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)"
            r"|\.(nan|NaN|NAN)",
            "-+0123456789.",
            _number,
        ),
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""], lambda _: None),
    )
]
"""The core schema: which plain words are no text, how they begin, and what they mean."""


class _Dumper(yaml.SafeDumper):
    """Writes text in quotes if YAML 1.1 or 1.2 would read it as something else."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Line breaks of Unicode survive only as escapes; PyYAML folds them in its other styles.
    style = '"' if any(mark in text for mark in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


for _tag, _pattern, _first, _ in _RULES:
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)
_Dumper.add_representer(str, _text)


@dataclass(frozen=True)
class Document:
    """Plain data of a YAML text, which may be changed, and the lines that they came from.

    Attributes:
        raw: The data.
        lines: Line of each key and element, counted from 1, by the steps of its path.
        source: The file, or what else to call the text in errors.
        settings: What was set beside the text, such as ``budget.trials=4``.
    """

    raw: Any
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    source: str = ""
    settings: tuple[str, ...] = ()

    def line_of(self, place: str) -> int | None:
        """Return the line of a dotted path, or of what holds it; counted from 1.

        What was set beside the text has none, nor does a text that is no file.
        """
        if not self.source.endswith((".yaml", ".yml")):
            return None
        steps = tuple(place.split("."))
        for setting in self.settings:
            given = tuple(setting.partition("=")[0].strip().split("."))
            if given[: len(steps)] == steps[: len(given)]:
                return None
        ends = range(len(steps), 0, -1)
        return next((line for end in ends if (line := self.lines.get(steps[:end]))), None)

    def located(self, error: StudyError) -> StudyError:
        """Return an error about a field with the file, and the line or what was set beside it."""
        line = self.line_of(error.place)
        beside = f" with --set {' '.join(self.settings)}" if self.settings and not line else ""
        return StudyError(
            error.problem, place=error.place, source=f"{self.source}{beside}", line=line
        )


def read_yaml(text: str, source: str) -> Document:
    """Return the one YAML document in a text.

    Raises:
        StudyError: If the text is not YAML, repeats a key, or has references or tags.
    """
    try:
        reader = _Reader(text)
        return Document(reader.document(), reader.lines, source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, place = (mark.line + 1, f"column {mark.column + 1}") if mark else (None, "")
        raise StudyError(str(error.problem), place=place, source=source, line=line) from error
    except (yaml.YAMLError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise StudyError(f"is not readable YAML: {problem}", source=source) from error


class _Reader:
    """Plain data from the events of a YAML text, and the lines of their places.

    PyYAML's own constructors follow YAML 1.1, and let a later key replace an earlier one.
    """

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=LOADER)
        self.lines: dict[tuple[str, ...], int] = {}

    def document(self) -> object:
        """Return the data of the only document, None if there is none.

        Raises:
            yaml.YAMLError: If the text is not YAML or has what is not supported.
            ValueError: If a number is too long.
        """
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        found = self._value(next(self._events), ())
        next(self._events)
        if not isinstance(event := next(self._events), yaml.StreamEndEvent):
            _refuse(event, "expected one document, but found another document")
        return found

    def _value(self, event: Any, place: tuple[str, ...]) -> object:
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            _refuse(event, "references (&name, *name) are not supported; write the value out")
        if event.tag is not None:
            _refuse(event, f"tags ({event.tag}) are not supported; write the plain value")
        if isinstance(event, yaml.ScalarEvent):
            return _plain(event.value) if event.implicit[0] else event.value
        if len(place) >= DEEPEST:
            _refuse(event, f"lists and mappings are nested more than {DEEPEST} levels deep")
        inside = self._mapping if isinstance(event, yaml.MappingStartEvent) else self._list
        return inside(place)

    def _mapping(self, place: tuple[str, ...]) -> dict[object, object]:
        found: dict[object, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if isinstance(event, yaml.CollectionStartEvent):
                _refuse(event, "a key must be a plain word, not a list or a mapping")
            key = self._value(event, place)
            if key in found:
                _refuse(event, f'duplicate key "{event.value}"; keep one')
            at = (*place, event.value)
            self.lines.setdefault(at, event.start_mark.line + 1)
            found[key] = self._value(next(self._events), at)
        return found

    def _list(self, place: tuple[str, ...]) -> list[object]:
        found: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            at = (*place, str(len(found)))
            self.lines[at] = event.start_mark.line + 1
            found.append(self._value(event, at))
        return found


def _refuse(event: Any, problem: str) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def _plain(word: str) -> object:
    """Return what a plain word means in the core schema."""
    rules = (rule for rule in _RULES if word[:1] in rule[2])
    return next((read(word) for _, pattern, _, read in rules if pattern.match(word)), word)


def load_yaml(text: str, source: str) -> Any:
    """Return the plain data of one YAML document; see `read_yaml`."""
    return read_yaml(text, source).raw


def dump_yaml(raw: Any) -> str:
    """Return YAML text that `load_yaml` reads back as equal data of equal types."""
    return yaml.dump(raw, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def apply_overrides(raw: Any, overrides: Sequence[str], sections: Sequence[str]) -> None:
    """Change ``raw`` in place by settings such as ``budget.trials=4``.

    Every step of the path but the last must be there; the last may be new in a mapping, because
    optional fields need not be written out. Of a list, only elements that exist can be set.

    Args:
        raw: Plain data of a study file.
        overrides: Each a dotted path, ``=``, and a value that is read as YAML.
        sections: Top-level names that may be entered even when the file leaves them out.

    Raises:
        StudyError: If a setting has no ``=``, its value is not YAML or its path leads nowhere.
    """
    for override in overrides:
        path, equals, text = override.partition("=")
        if not (equals and path):
            raise StudyError(
                f"must look like budget.trials=4, got {override!r}", source=f"--set {override}"
            )
        value = load_yaml(text, f"--set {override}")
        *steps, last = path.strip().split(".")
        node = raw
        if steps and steps[0] in sections and isinstance(raw, dict):
            raw.setdefault(steps[0], {})
        for depth, step in enumerate(steps):
            node = node[_key(node, step, steps[:depth], override)]
        if isinstance(node, dict):
            node[last] = value
        else:
            node[_key(node, last, steps, override)] = value


def _key(node: Any, step: str, before: Sequence[str], override: str) -> str | int:
    """Return the key or index that leads from ``node`` along ``step``."""
    if isinstance(node, dict) and step in node:
        return step
    if isinstance(node, list) and step.isdecimal() and int(step) < len(node):
        return int(step)
    if isinstance(node, dict):
        fix = choose_from(step, map(str, node))
    elif isinstance(node, list):
        fix = f"it is a list of {len(node)}, counted from 0"
    else:
        fix = f"it is a single value ({node!r})"
    where = ".".join(before) or "the study"
    raise StudyError(f"there is no {step!r} in {where}; {fix}", source=f"--set {override}")


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted place and value of the entries of a study; a list of plain values is one."""
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple) and any(isinstance(v, Mapping | list) for v in value):
        parts = enumerate(value)
    else:
        yield place, value
        return
    for name, part in parts:
        yield from leaves(part, f"{place}.{name}" if place else str(name))
