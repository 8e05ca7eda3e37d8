"""Holds exported OpenLineage events against the types of OpenLineage's own Python client.

    pip install openlineage-python
    sluice run PROJECT --openlineage events.jsonl
    python3 benches/openlineage_types.py events.jsonl

Each event, and each facet by the name in its `_schemaURL`, must have the fields of the class that
the client generates from the specification: none missing, none that it does not know, each of
its type. Each run has one START and then one COMPLETE, FAIL or ABORT. Printed: how many events
and facets of which kind there were; what does not fit ends the script.
"""

import collections
import enum
import importlib
import json
import pathlib
import pkgutil
import sys
import types
import typing

import attr
from openlineage.client import generated
from openlineage.client.event_v2 import RunEvent
from openlineage.client.generated.base import BaseFacet

ENDS = {"COMPLETE", "FAIL", "ABORT"}


def facets():
    """The generated classes of facets by name."""
    found = {}
    for module in pkgutil.iter_modules(generated.__path__):
        module = importlib.import_module(f"{generated.__name__}.{module.name}")
        for name, kind in vars(module).items():
            if isinstance(kind, type) and issubclass(kind, BaseFacet):
                found[name] = kind
    return found


FACETS = facets()
seen = collections.Counter()


def fit(value, kind, place):
    """Fails where the value is not of the type."""
    origin = typing.get_origin(kind)
    if kind is typing.Any:
        return
    if origin in (typing.Union, types.UnionType):
        kinds = [one for one in typing.get_args(kind) if one is not type(None)]
        if value is None:
            raise SystemExit(f"{place}: null, where a field can be left out")
        return fit(value, kinds[0], place)
    if origin is list:
        expect(value, list, place)
        for number, one in enumerate(value):
            fit(one, typing.get_args(kind)[0], f"{place}[{number}]")
    elif origin is dict:
        expect(value, dict, place)
        for key, one in value.items():
            fit(one, typing.get_args(kind)[1], f"{place}.{key}")
    elif attr.has(kind):
        expect(value, dict, place)
        if issubclass(kind, BaseFacet):
            kind = facet(value, place)
        fit_class(value, kind, place)
    elif issubclass(kind, enum.Enum):
        kind(value)
    elif kind is float:
        expect(value, (int, float), place)
    elif isinstance(value, bool) and kind is not bool:
        raise SystemExit(f"{place}: {value!r} is no {kind}")
    else:
        expect(value, kind, place)


def expect(value, kind, place):
    if not isinstance(value, kind):
        raise SystemExit(f"{place}: {value!r} is no {kind}")


def facet(value, place):
    """The class that a facet says it is of."""
    address, _, name = value["_schemaURL"].partition("#/$defs/")
    if name not in FACETS or not address.endswith(f"/{name}.json"):
        raise SystemExit(f"{place}: no facet is called {value['_schemaURL']}")
    seen[f"{place.rsplit('.', 1)[1]}: {name} {address.split('/')[-2]}"] += 1
    return FACETS[name]


def fit_class(value, kind, place):
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in attr.fields(kind)}
    for name, field in fields.items():
        if name not in value and field.default is attr.NOTHING:
            raise SystemExit(f"{place}: there is no {name}")
    for name, one in value.items():
        if name not in fields:
            raise SystemExit(f"{place}: {kind.__name__} has no {name}")
        fit(one, hints[name], f"{place}.{name}")
        if fields[name].validator:
            fields[name].validator(None, name, one)


def main():
    runs = collections.defaultdict(list)
    for path in sys.argv[1:]:
        for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
            event = json.loads(line)
            fit(event, RunEvent, f"{path}:{number}")
            if event["schemaURL"] != RunEvent._get_schema():
                raise SystemExit(f"{path}:{number}: {event['schemaURL']} is not {RunEvent._get_schema()}")
            seen[f"event {event['eventType']}"] += 1
            runs[event["run"]["runId"]].append(event["eventType"])
    for run, kinds in runs.items():
        if kinds[0] != "START" or kinds.count("START") != 1 or len([kind for kind in kinds if kind in ENDS]) != 1:
            raise SystemExit(f"run {run} has {kinds}")
    if not runs:
        raise SystemExit("there is no event")
    for what, count in sorted(seen.items()):
        print(f"{count:6} {what}")


if __name__ == "__main__":
    main()
