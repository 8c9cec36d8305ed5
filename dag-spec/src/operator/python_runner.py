"""Calls one function and writes what it returns, as JSON, to $GRIDFLOW_OUTPUT."""

import importlib.util
import inspect
import json
import os
import sys


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "call.json"), encoding="utf-8") as file:
        call = json.load(file)
    # Imports find what lies beside the file and in the working directory, not this runner.
    folder = os.path.dirname(os.path.abspath(call["file"]))
    sys.path[:] = [folder, os.getcwd()] + [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    spec = importlib.util.spec_from_file_location("__gridflow_task__", call["file"])
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    function = module
    for name in call["call"].split("."):
        if not hasattr(function, name):
            sys.exit(f"gridflow: {call['file']} has no {call['call']!r}")
        function = getattr(function, name)
    try:
        inspect.signature(function).bind(**call["args"])
    except TypeError as error:
        sys.exit(f"gridflow: {call['call']} does not take these arguments: {error}")
    except ValueError:
        pass
    value = function(**call["args"])
    if inspect.iscoroutine(value):
        import asyncio

        value = asyncio.run(value)
    if value is None:
        return
    try:
        text = json.dumps(value, default=plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        sys.exit(f"gridflow: the value that {call['call']} returned has no JSON: {error}")
    output = os.environ.get("GRIDFLOW_OUTPUT")
    if output:
        with open(output, "w", encoding="utf-8") as file:
            file.write(text)


def plain(value):
    """What has an obvious JSON although the standard library knows none."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item") and callable(value.item):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not serializable")


main()
