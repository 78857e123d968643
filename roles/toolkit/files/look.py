"""Run on the VPS by its own Python: all the role wants to know before it does anything, as one JSON object.

A release or environment is published by a link when it is complete, so where the link points is all there is to know.
"""

import json
import os
import sys


def link(path, needs):
    """Where the link points, or nothing if what it should lead to is gone."""
    return (
        os.readlink(path)
        if os.path.islink(path) and os.path.exists(os.path.join(path, needs))
        else ""
    )


def text(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read() if os.access(path, os.X_OK) else ""
    except OSError:
        return ""


directory, bin_dir, *programs = sys.argv[1:]
state = {
    "python": "{}.{}".format(*sys.version_info),
    "venv": link(os.path.join(directory, "venv"), "bin/python"),
    "release": link(os.path.join(directory, "current"), "."),
    "wrappers": {name: text(os.path.join(bin_dir, name)) for name in programs},
}
print(json.dumps(state))
