"""Text to plain data and back, for study files.

Files are read by the core schema of YAML 1.2 and written so that readers of YAML 1.1 agree.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.resolver import VersionedResolver

from search_spaces.errors import StudyError, choose_from

DEEPEST = 100
"""Most lists and mappings inside one another."""

_RULES = [
    (f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), [*first])
    for tag, pattern, first in (
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
        (
            "float",
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)"
            r"|\.(nan|NaN|NAN)",
            "-+0123456789.",
        ),
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    )
]
"""The core schema: which plain words are no text, and how they begin."""


class _Resolver(VersionedResolver):
    """Reads plain words by the core schema; ruamel's rules add dates, merge keys and 1_000."""

    processing_version = (1, 2)
    versioned_resolver = {  # noqa: RUF012
        start: [(tag, pattern) for tag, pattern, first in _RULES if start in first]
        for start in {start for _, _, first in _RULES for start in first}
    }


class _Composer(Composer):
    """Refuses references, tags, keys that are not plain words, and deep nesting."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        if isinstance(event, AliasEvent) or event.anchor:
            problem = "references (&name, *name) are not supported; write the value out"
        elif event.tag is not None:
            problem = f"tags ({event.tag}) are not supported; write the plain value"
        elif isinstance(parent, MappingNode) and not (index or isinstance(event, ScalarEvent)):
            problem = "a key must be a plain word, not a list or a mapping"
        elif self.depth >= DEEPEST:
            problem = f"lists and mappings are nested more than {DEEPEST} levels deep"
        else:
            return super().compose_node(parent, index)
        raise MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


class _Dumper(yaml.SafeDumper):
    """Writes text in quotes if YAML 1.1 or 1.2 would read it as something else."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Line breaks of Unicode survive only as escapes; PyYAML folds them in its other styles.
    style = '"' if any(mark in text for mark in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


for _rule in _RULES:
    _Dumper.add_implicit_resolver(*_rule)
_Dumper.add_representer(str, _text)


@dataclass(frozen=True)
class Document:
    """Plain data of a YAML text, which may be changed, and the lines that they came from."""

    raw: Any
    root: Node | None

    def line_of(self, place: str) -> int | None:
        """Return the line of a dotted path, or of what holds it; counted from 1."""
        node, line = self.root, None
        for step in place.split("."):
            found = []
            if isinstance(node, MappingNode):
                found = [(key, value) for key, value in node.value if key.value == step]
            elif isinstance(node, SequenceNode) and step.isdecimal():
                found = [(element, element) for element in node.value[int(step) :][:1]]
            if not found:
                break
            key, node = found[0]
            line = key.start_mark.line + 1
        return line


def read_yaml(text: str, source: str) -> Document:
    """Return the one YAML document in a text.

    Raises:
        StudyError: If the text is not YAML, repeats a key, or has references or tags.
    """
    reader = YAML(typ="safe", pure=True)
    reader.Composer, reader.Resolver = _Composer, _Resolver
    try:
        root = reader.compose(text)
        raw = None if root is None else reader.constructor.construct_document(root)
    except MarkedYAMLError as error:
        fix = "; keep one" if isinstance(error, DuplicateKeyError) else ""
        mark = error.problem_mark
        line, place = (mark.line + 1, f"column {mark.column + 1}") if mark else (None, "")
        raise StudyError(f"{error.problem}{fix}", place=place, source=source, line=line) from error
    except (YAMLError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise StudyError(f"is not readable YAML: {problem}", source=source) from error
    return Document(raw, root)


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
