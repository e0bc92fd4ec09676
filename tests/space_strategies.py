"""Hypothesis strategies for values, domains and search spaces, small enough to enumerate."""

import string
from dataclasses import replace

from hypothesis import strategies as st
from pydantic import ValidationError

from search_spaces.domains import Choice, Domain, Float, Int
from search_spaces.fields import Value
from search_spaces.space import Space

texts = st.text(string.ascii_lowercase + string.digits + "-. #:é", max_size=6)
numbers = st.integers(-50, 50) | st.floats(-1e6, 1e6, allow_subnormal=False)
values = texts | numbers | st.booleans()


@st.composite
def floats(draw) -> Float:
    log = draw(st.booleans())
    low = draw(st.floats(1e-9, 1e3) if log else st.floats(-1e6, 1e6, allow_subnormal=False))
    return Float(low, low + draw(st.floats(1e-3, 1e6)), log=log)


@st.composite
def ints(draw, max_count: int = 4) -> Int:
    log = draw(st.booleans())
    low = draw(st.integers(1, 100) if log else st.integers(-100, 100))
    step = 1 if log else draw(st.integers(1, 5))
    return Int(low, low + step * draw(st.integers(1, max_count - 1)), log=log, step=step)


choices = st.one_of(
    st.lists(texts | numbers, min_size=1, max_size=4, unique=True),
    st.lists(st.booleans(), min_size=1, max_size=2, unique=True),
).map(lambda options: Choice(tuple(options)))

finite_domains = st.one_of(ints(), choices)
domains = st.one_of(finite_domains, floats())


@st.composite
def conditions(draw, known: dict[str, Domain]) -> dict[str, tuple[Value, ...]]:
    """Up to two conditions on parameters of which all values can be listed."""
    finite = {name: domain for name, domain in known.items() if domain.values() is not None}
    parents = (
        draw(st.lists(st.sampled_from(sorted(finite)), max_size=2, unique=True)) if finite else []
    )
    return {
        name: tuple(
            draw(
                st.lists(
                    st.sampled_from(finite[name].values()), min_size=1, max_size=3, unique=True
                )
            )
        )
        for name in parents
    }


@st.composite
def parameter_sets(draw, of=domains, max_size: int = 5) -> dict[str, Domain]:
    """Parameters with acyclic conditions, some of which may never exist."""
    parameters: dict[str, Domain] = {}
    for index in range(draw(st.integers(0, max_size))):
        parameters[f"p{index}"] = replace(draw(of), when=draw(conditions(parameters)))
    return parameters


@st.composite
def spaces(draw, of=domains, max_size: int = 5) -> Space:
    """Spaces whose parameters can all exist, declared in any order."""
    parameters: dict[str, Domain] = {}
    for name, domain in draw(parameter_sets(of, max_size)).items():
        try:
            parameters = dict(Space({**parameters, name: domain}).parameters)
        except ValidationError:
            parameters[name] = replace(domain, when={})
    order = draw(st.permutations(sorted(parameters)))
    return Space({name: parameters[name] for name in order})


finite_spaces = spaces(of=finite_domains, max_size=4)
