"""check_picture.py FILE: fails if the picture of README.md is no XML, does not say what SAID says, or cannot be read on a
white page and on a dark one."""

import os
import re
import sys
import xml.etree.ElementTree

GROUNDS = ("#ffffff", "#0d1117")
LEAST = 3  # the least contrast for graphics
COLOURS = 9  # eight allocators and the ink


def luminance(colour):
    parts = (int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5))
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


with open(sys.argv[1], encoding="utf-8") as stream:
    text = stream.read()
found = []
root = xml.etree.ElementTree.fromstring(text)
name = "{http://www.w3.org/2000/svg}"
if root.get("role") != "img" or root.findtext(f"{name}title") != os.environ["SAID"]:
    found.append("no text alternative")
colours = sorted(set(re.findall(r"(?<=[ :\"])#[0-9a-f]{6}\b", text)))
if len(colours) != COLOURS:
    found.append(f"{len(colours)} colours, not {COLOURS}")
for colour in colours:
    least = min(contrast(colour, ground) for ground in GROUNDS)
    if least < LEAST:
        found.append(f"{colour}: contrast {least:.2f}")
print("\n".join(found))
sys.exit(bool(found))
