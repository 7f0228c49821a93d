"""check_page.py FILE: fails if the page would load anything, or shows no chart."""

import html.parser
import re
import sys

LOADS = {"src", "srcset", "href", "xlink:href", "data", "poster", "action", "background", "formaction"}
found = []
charts = 0


class Page(html.parser.HTMLParser):
    def handle_starttag(self, tag, attrs):
        global charts
        charts += tag == "svg"
        if tag in ("script", "link", "iframe", "object", "embed", "base"):
            found.append(f"<{tag}>")
        for name, value in attrs:
            if name in LOADS and not (value or "").startswith("#"):
                found.append(f"{tag} {name}={value}")
            elif name == "style":
                self.look_at_style(value or "")
            elif re.match(r"\w+:", value or "") and not name.startswith("xmlns") and "//" in value:
                found.append(f"{tag} {name}={value}")

    def handle_data(self, data):
        if self.cdata_elem == "style" or "@import" in data:
            self.look_at_style(data)

    @staticmethod
    def look_at_style(text):
        found.extend(load for load in re.findall(r"@import[^;]*|url\([^)]*\)", text) if not load.startswith("url(#"))


with open(sys.argv[1], encoding="utf-8") as stream:
    Page().feed(stream.read())
for load in found:
    print("loads", load)
if charts == 0:
    print("no chart")
sys.exit(bool(found) or charts == 0)
