#!/usr/bin/env python3
"""Prints the sizes that operation logs request, as rows of bench/histograms.def.

    HAKMEM_RECORD=log.%p ./build.sh run --variant record -- PROGRAM ARGS...
    bench/histograms.py NAME log.*

Sizes up to 128 bytes are counted in bands of 16 bytes, larger sizes in four bands for each power of
two. A row has the least and the largest size that was seen in its band, and how many of a million
requests were in this band. A realloc counts as a request of its new size. Requests above 1 MiB are
left out: bench_large has those.
"""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SIZE_MOST = 1 << 20
FAILED = 0x40


def log_kinds():
    """The kinds of records, as {byte: (name, numbers)}, read from the header that defines them."""
    with open(os.path.join(ROOT, "fuzz", "oplog.h"), encoding="utf-8") as header:
        table = re.search(r"#define OPLOG_KINDS\(X\)(.*?[^\\])\n", header.read(), re.DOTALL)[1]
    kinds = re.findall(r'X\(OPLOG_\w+, "([^"]+)", "(\w*)",\s*(?:\\\s*)?[01]\)', table)
    assert len(kinds) == table.count("X(OPLOG_"), "a row of OPLOG_KINDS has another form"
    return {number: kind for number, kind in enumerate(kinds, 1)}


def sizes_in(log):
    """Yields the size of each request in a log."""
    with open(log, "rb") as stream:
        data = stream.read()
    if data[:8] != b"HAKOPLOG" or data[8] != 1:
        sys.exit(f"{log}: no operation log of version 1")
    kinds = log_kinds()
    asks = {"malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "memalign"}
    at = 40
    while at < len(data) and data[at] != 0:
        name, numbers = kinds[data[at] & ~FAILED]
        failed = data[at] & FAILED
        at += 1
        values = {}
        for number in numbers:
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            values[number] = value
        if name in asks and not failed:
            yield values["n"] * values["a"] if name == "calloc" else values["n"]


def band_of(size):
    if size <= 128:
        return (size + 15) // 16
    octave = (size - 1).bit_length()
    return octave * 100 + (size - 1) * 4 // (1 << (octave - 1))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    bands = {}
    for log in sys.argv[2:]:
        for size in sizes_in(log):
            if 0 < size <= SIZE_MOST:
                least, most, count = bands.get(band_of(size), (size, size, 0))
                bands[band_of(size)] = (min(least, size), max(most, size), count + 1)
    total = sum(count for _, _, count in bands.values())
    print(f"/* {total} requests */")
    for least, most, count in sorted(bands.values()):
        weight = round(count * 1e6 / total)
        if weight > 0:
            print(f"SIZES({sys.argv[1]}, {least}, {most}, {weight})")


if __name__ == "__main__":
    main()
