"""Runs the real operator with the toy kind, as a program that tests start, stop and pause.

TOY_PASS_SECONDS makes each pass that slow.
"""

import asyncio
import dataclasses
import os
import sys

from toys import TOY, Toy, ToySeen, observe
from treadle.control import logs
from treadle.control.engine.ports import Ports
from treadle.control.main import run
from treadle.control.settings import from_environment


async def slow(toy: Toy, ports: Ports) -> ToySeen:
    """Observe, and take the seconds that the test asked for."""
    await asyncio.sleep(float(os.environ.get("TOY_PASS_SECONDS", "0")))
    return await observe(toy, ports)


if __name__ == "__main__":
    settings = from_environment(os.environ, os.getpid())
    logs.configure(settings.log_level)
    sys.exit(asyncio.run(run([dataclasses.replace(TOY, observe=slow)], settings)))
