"""Python code that comes in a zip file is compiled once on a server, and not by each of Ansible's tasks anew.

A task ships its module with all that it imports as a zip file of sources, and compiling them is half of what it costs.
What is kept is found by the source itself and by Python's version: nothing else is ever taken for it.
"""

import _imp
import marshal
import os
import sys
import zipimport

# each user's own, as nobody should run code that another one has put there
PLACE = f"/var/cache/code-of-zips/{os.geteuid()}"

_compile = zipimport._compile_source


def _kept(path, source):
    kept = f"{PLACE}/{_imp.source_hash(sys.hexversion, source).hex()}-{len(source)}"
    try:
        with open(kept, "rb") as file:
            return marshal.load(file)
    except (OSError, EOFError, ValueError, TypeError):
        code = _compile(path, source)
    part = f"{kept}.{os.getpid()}"
    try:
        os.makedirs(PLACE, mode=0o700, exist_ok=True)
        with open(part, "wb") as file:
            marshal.dump(code, file)
        os.rename(part, kept)
    except OSError:  # a full or read-only disk is some test's own business
        pass
    return code


zipimport._compile_source = _kept
