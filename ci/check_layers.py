#!/usr/bin/env python3
"""Proves that the files of core/ stand in the order of ci/layers.txt: each file includes and calls
only files before it.

  check_layers.py [FOLDER]         FOLDER holds core/; default: this repository
  check_layers.py --dot [FOLDER]   writes the picture: layers, files, and which file uses which,
                                   without the uses that follow from others

A file calls the functions that its object file leaves undefined and another file defines. A pointer
to a function counts as a call. A header is compiled alone, with all its functions; it may call the
functions of the .c file of its name.

To draw the picture of the architecture anew:

  check_layers.py --dot >docs/layers.dot && dot -Tsvg docs/layers.dot >docs/layers.svg
"""

import concurrent.futures
import os
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Order:
    """The table: names, the layer of each, and the calls that are allowed against the order."""

    def __init__(self, path):
        self.layers = []  # (name, text, names)
        self.exceptions = {}
        with open(path, encoding="utf-8") as file:
            for line in file:
                line = line.split("#")[0].strip()
                if line.startswith("["):
                    name, text = line.strip("[]").split(" | ")
                    self.layers.append((name, text, []))
                elif line:
                    name, _, allowed = line.partition(":")
                    self.layers[-1][2].append(name)
                    self.exceptions[name] = set(allowed.split())
        self.place = {name: place for place, name in enumerate(self.names())}

    def names(self):
        return [name for _, _, names in self.layers for name in names]

    def is_before(self, first, second):
        return self.place[first] <= self.place[second]


def entry_of(order, path):
    """The entry of a file in the table; None if it has none."""
    name = os.path.basename(path)
    stem = name.split(".")[0]
    return name if name in order.place else stem if stem in order.place else None


def includes(folder, file):
    """(line, path) of each file of the repository that this one includes."""
    with open(os.path.join(folder, file), encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            match = re.match(r'\s*#\s*include\s*"([^"]*)"', line)
            if match:
                path = match.group(1)
                # A name without a folder is a file in the same folder.
                yield number, path if "/" in path else os.path.join(os.path.dirname(file), path)


def check_includes(order, folder, files):
    for file in files:
        if entry_of(order, file) is None:
            yield f"{file}: is not in ci/layers.txt"
            continue
        for line, path in includes(folder, file):
            if os.path.dirname(path) != "core":
                yield f"{file}:{line}: includes {path}, which is not in core/"
            elif entry_of(order, path) is None:
                yield f"{file}:{line}: includes {path}, which is not in ci/layers.txt"
            elif not order.is_before(entry_of(order, path), entry_of(order, file)):
                yield f"{file}:{line}: includes {path}, which stands after it"


def compiler_flags():
    """Of a build that has everything: asserts, libc's names, functions that are not inlined."""
    command = ["make", "-s", "-C", ROOT, "VARIANT=debug", "AGGRESSIVE_INLINE=0", "print-flags"]
    out = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE,
                         env=os.environ | {"MAKEFLAGS": ""}).stdout
    flags = re.search(r"^CFLAGS=(.*)$", out, re.M).group(1)
    return shlex.split(flags)


def symbols(folder, file, flags, out):
    """(defined, undefined) of a file, compiled alone."""
    if file.endswith(".cc"):
        drop = ("-std=c11", "-Wstrict-prototypes", "-Wmissing-prototypes")
        command = ["g++", "-std=c++17", *(flag for flag in flags if flag not in drop)]
    else:
        command = ["gcc", *flags]
    target = os.path.join(out, file.replace("/", "_") + ".o")
    language = ["-x", "c"] if file.endswith((".h", ".c")) else []
    # -O0, so that every call is seen, even one that could be inlined or left out.
    keep = ["-fkeep-static-functions", "-fkeep-inline-functions"] if file.endswith(".h") else []
    subprocess.run([*command, "-O0", "-w", *keep, "-DHAK_STATIC_LIB=0", "-c", "-o", target,
                    *language, file], cwd=folder, check=True)
    listing = subprocess.run(["nm", target], check=True, text=True, stdout=subprocess.PIPE).stdout
    defined, undefined = set(), set()
    for line in listing.splitlines():
        kind, symbol = line.split()[-2:]
        if kind in "Uwv":
            undefined.add(symbol)
        elif kind in "TW":
            defined.add(symbol)
    return defined, undefined


def calls(order, folder, files):
    """{file: {(symbol, entry of the file that defines it)}}"""
    flags = compiler_flags()
    with (tempfile.TemporaryDirectory() as out,
          concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool):
        found = dict(zip(files, pool.map(lambda file: symbols(folder, file, flags, out), files)))
    all_undefined = {file: frozenset(undefined) for file, (_, undefined) in found.items()}
    for file, (_, undefined) in found.items():
        if file.endswith(".h"):
            undefined.difference_update(*(all_undefined.get(path, ())
                                          for _, path in includes(folder, file)))
    owner = {}
    for file, (defined, _) in found.items():
        for symbol in defined:
            owner.setdefault(symbol, entry_of(order, file))
    return {file: {(symbol, owner[symbol]) for symbol in undefined if symbol in owner}
            for file, (_, undefined) in found.items()}


def check_calls(order, called):
    used = set()
    for file, all_called in sorted(called.items()):
        name = entry_of(order, file)
        for symbol, callee in sorted(all_called):
            allowed = [other for other, symbols_of in order.exceptions.items()
                       if symbol in symbols_of and order.is_before(other, name)]
            own = file.endswith(".h") and callee.split(".")[0] == name.split(".")[0]
            if own or order.is_before(callee, name):
                continue
            if allowed:
                used.add(symbol)
            else:
                yield f"{file}: calls {symbol} of {callee}, which stands after it"
    for name, symbols_of in order.exceptions.items():
        for symbol in sorted(symbols_of - used):
            yield f"ci/layers.txt: {name} may call {symbol}, and nobody does"


def uses(order, folder, called):
    """(file, file that it includes or calls), by entry of the table, without the allowed
    exceptions and without the pairs that follow from others."""
    edges = set()
    for file, all_called in called.items():
        name = entry_of(order, file)
        edges |= {(name, callee) for _, callee in all_called}
        edges |= {(name, entry_of(order, path)) for _, path in includes(folder, file)}
    edges = {(name, used) for name, used in edges if used != name and order.is_before(used, name)}
    reached = {}  # all that a file uses, directly or indirectly
    for name in order.names():
        direct = {used for user, used in edges if user == name}
        beyond = set().union(*(reached[used] for used in direct))
        reached[name] = direct | beyond
        edges -= {(name, used) for used in beyond}
    return sorted(edges, key=lambda edge: (order.place[edge[0]], order.place[edge[1]]))


def dot(order, edges):
    """The files by layer, words at the bottom, surface on top; an arrow: includes or calls."""
    lines = ["digraph layers {", "    rankdir=BT; ranksep=0.5; nodesep=0.15;",
             '    node [shape=box, fontname="sans-serif", fontsize=11, height=0.3, '
             'margin="0.08,0.04", style=filled, fillcolor=white];',
             "    edge [color=gray50, arrowsize=0.6];"]
    for name, _, names in order.layers:
        lines += [f"    subgraph cluster_{name} {{",
                  f'        label="{name}"; labeljust=l; fontname="sans-serif"; '
                  "style=filled; color=gray92;"]
        lines += [f'        "{each}";' for each in names]
        lines += ["    }"]
    # An arrow leads from a file to a file that it uses; it is drawn upwards, from the words to the
    # surface.
    lines += [f'    "{used}" -> "{name}" [dir=back];' for name, used in edges]
    return "\n".join([*lines, "}"])


def main():
    wanted = [argument for argument in sys.argv[1:] if argument != "--dot"]
    folder = wanted[0] if wanted else ROOT
    order = Order(os.path.join(ROOT, "ci", "layers.txt"))
    core = os.path.join(folder, "core")
    files = sorted(f"core/{file}" for file in os.listdir(core)
                   if file.endswith((".h", ".c", ".cc", ".def")))
    problems = list(check_includes(order, folder, files))
    problems += [f"ci/layers.txt: there is no core/{name}" for name in order.names()
                 if not any(entry_of(order, file) == name for file in files)]
    called = {}
    if not problems:
        called = calls(order, folder, [file for file in files if not file.endswith(".def")])
        problems = list(check_calls(order, called))
    if problems:
        sys.exit("\n".join(problems))
    if "--dot" in sys.argv:
        print(dot(order, uses(order, folder, called)))
    else:
        print(f"{len(files)} files keep the order, in includes and calls")


if __name__ == "__main__":
    main()
