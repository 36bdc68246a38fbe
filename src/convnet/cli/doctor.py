"""`convnet doctor`."""

from __future__ import annotations

from importlib.metadata import requires
from importlib.util import find_spec
from typing import Any

from convnet.cli.options import Json, print_json

_MODULES = {"PyYAML": "yaml", "pillow": "PIL"}


def doctor(as_json: Json = False) -> None:
    """Print versions, device, cores, precision support, and which extras are missing."""
    from convnet.workflows import describe_environment

    facts = describe_environment()
    facts.pop("command")
    extras = _extras()
    if as_json:
        print_json(facts | {"extras": extras})
        return
    for name, version in facts.pop("versions").items():
        print(f"{name:<18} {version}")
    print()
    for name, value in facts.items():
        print(f"{name:<18} {value if not isinstance(value, bool) else 'yes' if value else 'no'}")
    bf16 = "bf16, which is faster here" if facts["native_bf16"] else "bf16 only emulated, slowly"
    print(f"{'precision':<18} fp32; {bf16}\n")
    for name, extra in extras.items():
        missing = ", ".join(extra["missing"])
        state = f"missing {missing}; {extra['install']}" if missing else "installed"
        print(f"extra {name:<12} {state}")


def _extras() -> dict[str, dict[str, Any]]:
    """The optional dependencies by extra: what is missing, and the command that gets it."""
    extras: dict[str, dict[str, Any]] = {}
    for requirement in requires("convnet") or []:
        package, _, marker = requirement.partition(";")
        if "extra ==" not in marker:
            continue
        extra = marker.split("extra ==")[1].strip(" '\"")
        name = package.split("[")[0].split(">")[0].split("<")[0].strip()
        if name == "convnet" or extra == "dev":
            continue
        entry = extras.setdefault(extra, {"missing": [], "install": f"pip install 'convnet[{extra}]'"})
        if find_spec(_MODULES.get(name, name.replace("-", "_"))) is None:
            entry["missing"].append(name)
    return extras
