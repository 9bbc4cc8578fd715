"""YAML as people write it: a key that stands twice is told, of which YAML would keep the last."""

from typing import Any, NoReturn

import yaml


class _Loader(yaml.SafeLoader):
    # While nodes are composed: later `<<` has put those of others among a mapping's own keys.
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                _twice(key)
            seen.add((key.tag, key.value))
        return node


def _twice(key: yaml.ScalarNode) -> NoReturn:
    raise yaml.constructor.ConstructorError(
        problem=f"the key {key.value!r} stands there twice", problem_mark=key.start_mark
    )


def load(text: str) -> Any:
    """Return what a YAML text holds. Raises ValueError, one line with the place."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark
        place = f"line {at.line + 1}, column {at.column + 1}: " if at else ""
        raise ValueError(f"{place}{error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(str(error).splitlines()[0]) from error
