"""Text to plain data and back, for study files.

YAML 1.1, which PyYAML reads, turns ``no`` into False, ``1e-3`` into text, ``010`` into 8 and
``12:30`` into 750. Studies are read by the rules of YAML 1.2 instead: a plain word is a boolean
only if it is ``true`` or ``false``.
"""

import re
from collections.abc import Hashable, Sequence
from typing import Any

import yaml

from search_spaces.errors import StudyError, choose_from

_RESOLVERS = (
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+", [*"-+0123456789"]),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        [*"-+0123456789."],
    ),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", [*"~nN", ""]),
)


def _refusal(problem: str, where: Any) -> yaml.MarkedYAMLError:
    """Return an error about an event or a node of PyYAML."""
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)


class _Loader(yaml.SafeLoader):
    """Safe loader by YAML 1.2 that refuses duplicate keys, references and tags."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _refusal("references (*name) are not supported; write the value out", event)
        if event.tag is not None:
            raise _refusal(f"tags ({event.tag}) are not supported; write the plain value", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise _refusal("a key must be a plain word, not a list or a mapping", key_node)
            if key in seen:
                raise _refusal(f"key {key!r} appears twice; keep one", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Writes text in quotes if YAML 1.1 or 1.2 would read it as something else."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node), 10)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Line breaks of Unicode survive only as escapes; PyYAML folds them in its other styles.
    style = '"' if any(mark in text for mark in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


for _tag, _pattern, _first in _RESOLVERS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Dumper.add_representer(str, _text)


def load_yaml(text: str, source: str) -> Any:
    """Return the plain data of one YAML document.

    Raises:
        StudyError: If the text is not YAML, repeats a key, or holds references or tags.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise StudyError(str(error.problem), place=place, source=source) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = " ".join(str(error).split())
        raise StudyError(f"is not readable YAML: {line}", source=source) from error


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
