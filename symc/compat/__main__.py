"""``python -m symc.compat``: run a program written for Theano and Lasagne, or report on one."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence

import symc.compat

USAGE = """usage: python -m symc.compat SCRIPT [ARGUMENT ...]       run a script
       python -m symc.compat -m MODULE [ARGUMENT ...]    run a module
       python -m symc.compat -c COMMAND [ARGUMENT ...]   run a command
       python -m symc.compat --check PATH [PATH ...]     list the names of Theano and Lasagne that sources use"""


def main(arguments: Sequence[str]) -> int:
    """Run what the command line says; the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stderr if not arguments else sys.stdout)
        return 0 if arguments else 2
    first, *rest = arguments
    if first == "--check":
        return _check(rest)
    if first in ("-m", "-c") and not rest:
        print(f"{first} needs an argument\n{USAGE}", file=sys.stderr)
        return 2
    symc.compat.install()
    if first == "-m":
        sys.argv = [rest[0], *rest[1:]]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path.insert(0, "")
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif first.startswith("-"):
        print(f"unknown option {first}\n{USAGE}", file=sys.stderr)
        return 2
    elif not os.path.exists(first):
        print(f"python -m symc.compat: cannot open {first!r}", file=sys.stderr)
        return 2
    else:
        sys.argv = [first, *rest]
        sys.path[0] = os.path.dirname(os.path.abspath(first))  # as for ``python SCRIPT``
        runpy.run_path(first, run_name="__main__")
    return 0


def _check(paths: Sequence[str]) -> int:
    """Print the reports; 1 if a name is missing or a source cannot be read."""
    if not paths:
        print(f"--check needs a path\n{USAGE}", file=sys.stderr)
        return 2
    reports = [symc.compat.check(path) for path in paths]
    print("\n".join(map(str, reports)))
    return int(any(not report.ok for report in reports))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
