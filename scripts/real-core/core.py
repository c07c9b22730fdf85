"""Runs the Core in the current folder with formation.yaml, whose $NAMES come from the environment."""

import asyncio
import json
import os
from pathlib import Path
from string import Template

from muxi.runtime.formation import Formation


async def main():
    template = Template(Path(__file__).with_name("formation.yaml").read_text(encoding="utf-8"))
    # JSON strings are YAML strings, whatever a key or a path contains.
    values = {name: json.dumps(value) for name, value in os.environ.items() if name.startswith("CORE_")}
    # Absolute, because the Core keeps its secrets beside the formation.
    file = Path("formation.yaml").absolute()
    file.write_text(template.substitute(values), encoding="utf-8")

    formation = Formation()
    await formation.load(str(file))
    try:
        await formation.start_server(host="127.0.0.1", port=int(os.environ["CORE_PORT"]))
    finally:
        formation.stop()


if __name__ == "__main__":
    asyncio.run(main())
