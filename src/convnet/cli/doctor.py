"""`convnet doctor`."""

from __future__ import annotations

from convnet.cli.options import Json, print_json


def doctor(as_json: Json = False) -> None:
    """Print versions, device, cores and precision support."""
    from convnet.data.files.remote_file import cache_folder
    from convnet.workflows import describe_environment

    facts = describe_environment()
    facts.pop("command")
    if as_json:
        facts["cache"] = str(cache_folder("packs").parent)
        print_json(facts)
        return
    for name, version in facts.pop("versions").items():
        print(f"{name:<18} {version}")
    print()
    for name, value in facts.items():
        print(f"{name:<18} {value if not isinstance(value, bool) else 'yes' if value else 'no'}")
    bf16 = "bf16 (native, faster)" if facts["native_bf16"] else "bf16 (emulated, slow)"
    print(f"{'precision':<18} fp32; {bf16}")
    print(f"{'cache':<18} {cache_folder('packs').parent}  (convnet cache list)")
