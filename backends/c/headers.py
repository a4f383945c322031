"""The part of the run-time headers that a generated text needs.

A kernel uses a few of the 900 definitions of the headers, and a quarter of the compiler's time for a small kernel was
spent on reading all of them. The headers are therefore preprocessed once for a compiler and its flags, and divided
into definitions; a text is compiled with the definitions that it refers to, directly or through others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from symc_backends import cache
from symc_backends.c import toolchain

__all__ = ["OWN", "Definition", "divided", "selected"]

OWN = (
    "kernels/support.h",
    "base/symc_rt.h",
    "kernels/half.h",
    "kernels/bfloat16.h",
    "kernels/turn.h",
    "kernels/zip.h",
    "kernels/few.h",
    "kernels/narrow.h",
)
"""The headers that generated texts include."""

_LINE_MARKER = re.compile(r'# \d+ "((?:[^"\\]|\\.)*)"')
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|[{}();]|[^\s{}();"\']+')
_PREFIX = re.compile(r"[A-Za-z_]\w+_\b(?!\s*#)|[A-Za-z_]\w+(?=\s*##)")
"""The beginning of a name that a macro completes: before ``##``, or an argument that ends in an underscore."""
_ATTRIBUTE = re.compile(r"__attribute__\s*(?=\()|_Alignas\s*(?=\()")


class Definition(NamedTuple):
    """A definition or declaration: the names that it makes known, its text, and the system headers of its file."""

    names: tuple[str, ...]
    text: str
    system: tuple[str, ...]


# --- division ---------------------------------------------------------------------------------------------------------


def divided(preprocessed: str, folder: str) -> list[Definition]:
    """Divide the compiler's output for ``-E -dD -dI`` into the definitions of the files in ``folder``, in order.

    What comes from other files is left out: the ``#include <...>`` lines of a file stand for it. A macro that is
    undefined later is left out too, since texts that follow cannot use it.
    """
    system: dict[str, list[str]] = {}
    found: list[tuple[str, Definition | None]] = []
    macros: dict[str, int] = {}
    for file, part in _parts(preprocessed):
        if Path(folder) not in Path(file).parents:
            continue
        words = part.split(None, 2)
        if words[0] == "#include":
            if words[1].startswith("<"):
                system.setdefault(file, []).append(part)
        elif words[0] == "#define":
            name = words[1].split("(")[0]
            macros[name] = len(found)
            found.append((file, Definition((name,), part, ())))
        elif words[0] == "#undef":
            if words[1] in macros:
                found[macros.pop(words[1])] = (file, None)
        elif not part.startswith("#"):
            found += [(file, Definition(_declared(text), text, ())) for text in _declarations(part)]
    return [d._replace(system=tuple(system.get(file, ()))) for file, d in found if d is not None]


def _parts(preprocessed: str) -> Iterator[tuple[str, str]]:
    """Yield directives and the text between them, each with its file."""
    file = ""
    text: list[str] = []
    for line in preprocessed.splitlines():
        marker = _LINE_MARKER.match(line)
        if marker is None and not line.startswith("#"):
            text.append(line)
            continue
        # A line marker may stand inside a declaration, where a macro spans lines: only another file ends the text.
        if marker is not None and marker[1] == file:
            continue
        if "\n".join(text).strip():
            yield file, "\n".join(text)
        text = []
        if marker is not None:
            file = marker[1]
        else:
            yield file, line
    if "\n".join(text).strip():
        yield file, "\n".join(text)


def _declarations(text: str) -> Iterator[str]:
    """Split C text at the ends of its outermost declarations: a semicolon, or the closing brace of a function."""
    begin = braces = parentheses = 0
    last = ""
    function = False
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word == "{":
            function = function or (not braces and last == ")")
            braces += 1
        elif word == "}":
            braces -= 1
        elif word == "(":
            parentheses += 1
        elif word == ")":
            parentheses -= 1
        last = word
        if not braces and not parentheses and (word == ";" or (word == "}" and function)):
            if text[begin : token.end()].strip() != ";":
                yield text[begin : token.end()].strip()
            begin, function = token.end(), False


def _declared(text: str) -> tuple[str, ...]:
    """The names that a declaration makes known."""
    plain = _without_attributes(text)
    body = plain.find("{")
    outside = plain if body < 0 else plain[:body] + " " + plain[plain.rindex("}") + 1 :]
    names = re.findall(r"\b(?:struct|union|enum)\s+([A-Za-z_]\w*)\s*\{", plain)
    if re.match(r"(typedef\s+)?enum\b", plain) and body >= 0:
        names += _IDENTIFIER.findall(re.sub(r"=[^,}]*", "", plain[body:]))
    if plain.startswith("typedef"):
        pointer = re.search(r"\(\s*\*\s*([A-Za-z_]\w*)\s*\)\s*\(", outside)
        names.append(pointer[1] if pointer else _IDENTIFIER.findall(re.sub(r"\(.*", "", outside, flags=re.DOTALL))[-1])
    elif (called := re.search(r"([A-Za-z_]\w*)\s*\(", outside.split("=")[0])) is not None:
        names.append(called[1])
    else:
        names += _IDENTIFIER.findall(re.split(r"[=\[;]", outside, maxsplit=1)[0])[-1:]
    return tuple(name for name in dict.fromkeys(names) if name not in ("struct", "union", "enum"))


def _without_attributes(text: str) -> str:
    """Text without ``__attribute__((...))``."""
    while (found := _ATTRIBUTE.search(text)) is not None:
        depth, end = 0, found.end()
        for end in range(found.end(), len(text)):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if not depth:
                break
        text = text[: found.start()] + text[end + 1 :]
    return text.strip()


# --- selection --------------------------------------------------------------------------------------------------------


class _Headers:
    """The definitions of the headers, with what each of them refers to."""

    def __init__(self, definitions: list[Definition]) -> None:
        self.definitions = definitions
        self.places: dict[str, list[int]] = {}
        for place, definition in enumerate(definitions):
            for name in definition.names:
                self.places.setdefault(name, []).append(place)
        self._uses: dict[int, set[str]] = {}
        self._begun: dict[str, set[str]] = {}

    def _known(self, text: str) -> set[str]:
        found = self.places.keys() & set(_IDENTIFIER.findall(text))
        for prefix in {*_PREFIX.findall(text)} - found:
            found |= self._beginning_with(prefix)
        return found

    def _beginning_with(self, prefix: str) -> set[str]:
        found = self._begun.get(prefix)
        if found is None:
            found = self._begun[prefix] = {name for name in self.places if name.startswith(prefix)}
        return found

    def needed(self, text: str) -> list[Definition]:
        """The definitions that ``text`` refers to, directly or through others, in the order of the headers."""
        waiting = list(self._known(text))
        seen = set(waiting)
        places: set[int] = set()
        while waiting:
            for place in self.places[waiting.pop()]:
                if place in places:
                    continue
                places.add(place)
                uses = self._uses.get(place)
                if uses is None:
                    uses = self._uses[place] = self._known(self.definitions[place].text)
                waiting += uses - seen
                seen |= uses
        return [self.definitions[place] for place in sorted(places)]


@lru_cache(maxsize=4)
def _headers(digest: str, identity: str, folder: str) -> _Headers | None:
    """The headers of a compiler and its flags; None for a compiler that cannot keep macros when it preprocesses."""
    name = f"headers-{cache.digest(digest, identity, folder)}"
    stored = cache.read_text(name)
    if stored is None:
        preprocessed = toolchain.preprocessed("".join(f'#include "{header}"\n' for header in OWN), folder)
        if preprocessed is None:
            return None
        definitions = divided(preprocessed, folder)
        cache.write_text(name, json.dumps(definitions))
    else:
        definitions = [Definition(tuple(names), text, tuple(system)) for names, text, system in json.loads(stored)]
    return _Headers(definitions)


def selected(text: str, digest: str, folder: str) -> str:
    """Return ``text`` with the definitions it needs in place of its ``#include`` lines of the headers in ``folder``.

    ``digest``: a name for the content of the headers.
    """
    lines = [f'#include "{header}"' for header in OWN]
    own = [line for line in text.splitlines()[: len(OWN)] if line in lines]
    rest = text.split("\n", len(own))[len(own)] if own else text
    if not own or '#include "' in rest:  # a user's C code may include a header itself
        return text
    headers = _headers(digest, toolchain.identity(), folder)
    if headers is None:
        return text
    needed = headers.needed(rest)
    system = dict.fromkeys(["#include <stdint.h>"])  # a text of scalars alone needs no header of ours that includes it
    system |= dict.fromkeys(line for definition in needed for line in definition.system)
    return "\n".join([*system, *(definition.text for definition in needed), rest])
