"""Python values as TOML: dicts are tables, lists of dicts are lists of tables."""

import json


def to_toml(values: dict, path: str = "") -> str:
    """The text of a document; `path` is the table that `values` stand in."""
    lines = [f"{_key(name)} = {_value(value)}" for name, value in values.items() if not _is_table(value)]
    for name, value in values.items():
        inner = f"{path}.{_key(name)}" if path else _key(name)
        if isinstance(value, dict):
            lines.append(f"\n[{inner}]\n{to_toml(value, inner)}")
        elif _is_table(value):
            lines += [f"\n[[{inner}]]\n{to_toml(member, inner)}" for member in value]
    return "\n".join(lines)


def _is_table(value) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() else json.dumps(name)


def _value(value) -> str:
    """JSON's strings, numbers, booleans and lists of them are TOML as they are."""
    return json.dumps(value)
