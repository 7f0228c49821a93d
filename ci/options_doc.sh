#!/usr/bin/env bash
# Prints the table of options in Markdown, from the one table in core/policy.h.
#
#   options_doc.sh [--check FILE]    --check: fails unless FILE holds exactly this table
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    printf '#include <stdio.h>\n'
    grep -E '^#define HAK_[A-Z_]+ +[0-9]+u?$' core/policy.h
    sed -n '/define HAK_OPTION_TABLE/,/^$/p' core/policy.h
    cat <<'C'
#define ROW(field, name, type, standard, least, most, text) \
    printf("| `HAKMEM_%s` | %s | %u | %u..%u | %s |\n", name, type, standard, least, most, text);
int main(void) {
    puts("| variable | value | default | range | what it does |\n|---|---|---|---|---|");
    HAK_OPTION_TABLE(ROW)
}
C
} >"$folder/table.c"
"${CC:-gcc}" "$folder/table.c" -o "$folder/table"
"$folder/table" >"$folder/table.md"
if [ "${1:-}" = --check ]; then
    diff <(sed -n "/^| variable/,/^$/p" "$2" | sed "/^$/d") "$folder/table.md"
else
    cat "$folder/table.md"
fi
