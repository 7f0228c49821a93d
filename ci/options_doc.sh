#!/usr/bin/env bash
# Prints the table of options, made from the one table in core/policy.h.
#
#   options_doc.sh                in Markdown
#   options_doc.sh --list         in plain columns: name, default, least, most, field
#   options_doc.sh --check FILE   fails, and says what to do, unless FILE has exactly this table in
#                                 Markdown, and each option is read by core/ and set by a test
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
#define LINE(field, name, type, standard, least, most, text) \
    printf("%s %u %u %u %s\n", name, standard, least, most, #field);
int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) {
        HAK_OPTION_TABLE(LINE)
        return 0;
    }
    puts("| variable | value | default | range | what it does |\n|---|---|---|---|---|");
    HAK_OPTION_TABLE(ROW)
}
C
} >"$folder/table.c"
"${CC:-gcc}" "$folder/table.c" -o "$folder/table"

# has PATTERN FOLDER...: true if a file of the folders, other than policy.h, has a match
has() {
    local pattern=$1
    shift
    grep -rqE --include='*.[ch]' --include='*.bats' --include='*.sh' --exclude=policy.h -e "$pattern" "$@"
}

check() {
    local name field status=0
    if ! diff <(sed -n "/^| variable/,/^$/p" "$1" | sed "/^$/d") <("$folder/table"); then
        echo "$1: its table of options is not that of core/policy.h: put the output of ci/options_doc.sh there"
        status=1
    fi
    while read -r name _ _ _ field; do
        has "(->|\\.)$field\\b" core || {
            echo "HAKMEM_$name: nothing in core/ reads policy->$field: read it where the option takes effect"
            status=1
        }
        has "HAKMEM_$name=|prints $name\\b|\\b$field\\b" verify/tests || {
            echo "HAKMEM_$name: no test in verify/tests sets it: add one that sees its effect"
            status=1
        }
    done < <("$folder/table" --list)
    return "$status"
}

case ${1:-} in
--check) check "$2" ;;
--list) "$folder/table" --list ;;
*) "$folder/table" ;;
esac
