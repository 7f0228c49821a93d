"""Finds the small changes that can be made to core/, on clang's syntax tree of the release
variant."""

import ctypes
import hashlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from clang.cindex import Config, CursorKind, Index, TokenKind, TranslationUnit, TypeKind, conf

Config.set_library_file("libclang-14.so.1")

COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
OPERATORS = COMPARISONS | {
    "+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "^": "|",
    "&&": "||", "||": "&&",
}
COMPOUND = {"+=": "-=", "-=": "+=", "*=": "+=", "/=": "*=", "&=": "|=", "|=": "&=", "<<=": ">>=", ">>=": "<<="}
ORDERS = re.compile(r"memory_order_(acquire|release|acq_rel|seq_cst)")
# Checks and hooks are not mutated: the tests of the checks do that, and the release build has no
# hooks.
CHECKS = re.compile(r"\b(?:HAK_ASSERT|HAK_CHECK|_Static_assert|hak_hook_\w+)\s*\(")

FUNCTIONS = (CursorKind.FUNCTION_DECL,)
LOOPS = (CursorKind.FOR_STMT, CursorKind.WHILE_STMT, CursorKind.DO_STMT)
CONTROL = LOOPS + (CursorKind.IF_STMT, CursorKind.SWITCH_STMT)
EXPRESSIONS = (CursorKind.CALL_EXPR, CursorKind.BINARY_OPERATOR, CursorKind.COMPOUND_ASSIGNMENT_OPERATOR,
               CursorKind.UNARY_OPERATOR, CursorKind.UNEXPOSED_EXPR)
JUMPS = (CursorKind.BREAK_STMT, CursorKind.CONTINUE_STMT, CursorKind.RETURN_STMT, CursorKind.GOTO_STMT)


@dataclass(frozen=True)
class Mutation:
    """Replaces [start, end) of a file by `new`; `statement` is where the innermost statement
    around it begins."""

    file: str
    function: str
    kind: str
    start: int
    end: int
    new: str
    statement: int
    text: str
    line: int
    id: str = ""

    def apply(self, source):
        return source[: self.start] + self.new + source[self.end :]


def file_offset(location):
    """The offset of the source text, also in an argument of a macro, where libclang's own `offset`
    is the macro's."""
    file, line, column, offset = ctypes.c_void_p(), ctypes.c_uint(), ctypes.c_uint(), ctypes.c_uint()
    conf.lib.clang_getFileLocation(location, ctypes.byref(file), ctypes.byref(line), ctypes.byref(column),
                                   ctypes.byref(offset))
    return offset.value


def closing(source, opening):
    """The offset of the parenthesis that closes the one at `opening`."""
    depth = 0
    for at in range(opening, len(source)):
        depth += {"(": 1, ")": -1}.get(source[at], 0)
        if depth == 0:
            return at
    return len(source)


def shortened(text, most=70):
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3] + "..."


class File:
    """The mutations of one file. A header appears in several translation units; each place counts
    once."""

    def __init__(self, root, name):
        self.name = name
        # latin-1, because libclang's offsets count bytes.
        self.source = (root / name).read_text(encoding="latin-1")
        self.found = {}
        self.quiet = [(m.start(), closing(self.source, m.end() - 1)) for m in CHECKS.finditer(self.source)]
        self.quiet += [m.span() for m in re.finditer(r"/\*.*?\*/", self.source, re.S)]

    def is_quiet(self, at):
        return any(start <= at <= end for start, end in self.quiet)

    def add(self, kind, start, end, new, statement, function):
        old = self.source[start:end]
        if start >= end or self.is_quiet(start) or (start, end, new) in self.found:
            return
        new += "\n" * (old.count("\n") - new.count("\n"))  # messages of checks have line numbers
        line = self.source.count("\n", 0, start) + 1
        around = shortened(old) if kind in ("drop", "negate", "swap") else self.line_around(start)
        text = f"{kind}: {around}" if kind == "drop" else f"{kind}: {around}: {shortened(old)} => {shortened(new)}"
        self.found[start, end, new] = Mutation(self.name, function, kind, start, end, new, statement, text, line)

    def line_around(self, at):
        start = self.source.rfind("\n", 0, at) + 1
        return shortened(self.source[start : self.source.find("\n", at)])

    def mutations(self):
        """Yields the mutations in order, with identifiers that stay the same when lines move.

        An identifier is made of the function, the change, and its number among equal changes."""
        seen = {}
        for mutation in sorted(self.found.values(), key=lambda m: (m.start, m.end, m.new)):
            key = f"{self.name}:{mutation.function}:{mutation.text}"
            number = seen[key] = seen.get(key, 0) + 1
            digest = hashlib.sha1(f"{key}:{number}".encode()).hexdigest()[:6]
            yield Mutation(**{**mutation.__dict__, "id": f"{Path(self.name).name}:{mutation.function}:{digest}"})


class Finder:
    """Walks the syntax tree of a translation unit and adds the mutations to their files."""

    def __init__(self, files):
        self.files = files

    def walk_unit(self, unit):
        for cursor in unit.cursor.get_children():
            name = str(cursor.location.file)
            if name not in self.files:
                continue
            self.file = self.files[name]
            self.function = cursor.spelling or "-"
            if cursor.kind in FUNCTIONS and cursor.is_definition():
                self.orders(cursor)
                self.walk(cursor, self.span(cursor)[0])
            elif cursor.kind == CursorKind.VAR_DECL:
                self.walk(cursor, self.span(cursor)[0])

    def span(self, cursor):
        return file_offset(cursor.extent.start), file_offset(cursor.extent.end)

    def add(self, kind, start, end, new):
        self.file.add(kind, start, end, new, self.statement, self.function)

    def walk(self, cursor, statement):
        self.statement = statement
        self.operator(cursor)
        self.constant(cursor)
        self.condition(cursor)
        self.arguments(cursor)
        previous = None
        for child in cursor.get_children():
            start = statement
            if self.holds_statements(cursor, child):
                start = self.span(child)[0]
                self.statement = start
                self.drop(child)
                self.order(previous, child)
            previous = child
            self.walk(child, start)
            self.statement = statement

    @staticmethod
    def holds_statements(parent, child):
        if parent.kind == CursorKind.COMPOUND_STMT:
            return True
        if parent.kind not in CONTROL or child.kind == CursorKind.COMPOUND_STMT:
            return False
        # A body without braces. The other children are conditions and the parts of a for's head.
        body = list(parent.get_children())
        last = body[0] if parent.kind == CursorKind.DO_STMT else body[-1]
        with_else = parent.kind == CursorKind.IF_STMT and len(body) == 3
        return child == last or (with_else and child == body[1])

    def drop(self, child):
        start, end = self.span(child)
        if child.kind in CONTROL:
            self.add("drop", start, end, "{}")
        elif child.kind in JUMPS and not list(child.get_children()):
            self.add("drop", start, end, "(void)0")
        elif child.kind in EXPRESSIONS:
            self.add("drop", start, end, "(void)0")

    def order(self, first, second):
        """Swaps two adjacent assignments, if one reads what the other writes: otherwise a swap has
        no effect."""
        if first is None or not (self.is_pointer_assignment(first) and self.is_pointer_assignment(second)):
            return
        (start, middle), (after, end) = self.span(first), self.span(second)
        text = self.file.source
        sides = [statement.split("=", 1) for statement in (text[start:middle], text[after:end])]
        depends = any(one[0].strip() in "=".join(other) for one, other in (sides, sides[::-1]))
        if start < middle <= after < end and depends:
            self.add("swap", start, end, text[after:end] + text[middle:after] + text[start:middle])

    def is_pointer_assignment(self, cursor):
        return (cursor.kind == CursorKind.BINARY_OPERATOR and self.is_pointer(cursor)
                and self.infix(cursor)[2] == "=")

    @staticmethod
    def is_pointer(cursor):
        return cursor.type.get_canonical().kind == TypeKind.POINTER

    def infix(self, cursor):
        """(start, end, operator) of a binary operator; the operator is "" if it comes from a
        macro."""
        left, right = list(cursor.get_children())[:2]
        start, end = self.span(left)[1], self.span(right)[0]
        match = re.fullmatch(r"[\s)]*([^\w\s()\"']+?)[\s(]*", self.file.source[start:end])
        if start >= end or match is None:
            return 0, 0, ""
        return start + match.start(1), start + match.end(1), match.group(1)

    def operator(self, cursor):
        if cursor.kind in (CursorKind.BINARY_OPERATOR, CursorKind.COMPOUND_ASSIGNMENT_OPERATOR):
            start, end, old = self.infix(cursor)
            new = OPERATORS.get(old) or COMPOUND.get(old)
            if new:
                self.add("operator", start, end, new)
        elif cursor.kind == CursorKind.UNARY_OPERATOR:
            start, end = self.span(cursor)
            text = self.file.source[start:end]
            for old, new in (("++", "--"), ("--", "++")):
                if text.startswith(old):
                    self.add("operator", start, start + 2, new)
                elif text.endswith(old):
                    self.add("operator", end - 2, end, new)
            if text.startswith("~"):
                self.add("operator", start, start + 1, "")

    def constant(self, cursor):
        start, end = self.span(cursor)
        match = re.fullmatch(r"(0x[0-9a-f]+|\d+)([uUlL]*)", self.file.source[start:end])
        if cursor.kind == CursorKind.INTEGER_LITERAL and match:
            self.add("constant", start, end, f"{int(match.group(1), 0) + 1}{match.group(2)}")

    def condition(self, cursor):
        children = list(cursor.get_children())
        if cursor.kind in (CursorKind.IF_STMT, CursorKind.CONDITIONAL_OPERATOR) and children:
            start, end = self.span(children[0])
            if re.search(r"[\s(]$|^$", self.file.source[start - 1 : start]) or start == 0:
                self.add("negate", start, end, f"!({self.file.source[start:end]})")

    def arguments(self, cursor):
        if cursor.kind != CursorKind.CALL_EXPR:
            return
        arguments = list(cursor.get_arguments())
        for first, second in zip(arguments, arguments[1:]):
            if self.is_pointer(first) and self.pointee(first) == self.pointee(second):
                (start, middle), (after, end) = self.span(first), self.span(second)
                text = self.file.source
                if start < middle < after < end and text[middle:after].strip() == ",":
                    self.add("swap", start, end, text[after:end] + text[middle:after] + text[start:middle])

    @staticmethod
    def pointee(cursor):
        return cursor.type.get_canonical().get_pointee().spelling.replace("const ", "")

    def orders(self, function):
        """Relaxes memory orders. They are found as tokens, because they are arguments of macros."""
        for token in function.get_tokens():
            if token.kind == TokenKind.IDENTIFIER and ORDERS.fullmatch(token.spelling):
                start = file_offset(token.extent.start)
                self.statement = start
                self.add("order", start, start + len(token.spelling), "memory_order_relaxed")


def release_flags(root):
    """The release variant's compiler flags that matter to the syntax tree."""
    printed = subprocess.run(["make", "--no-print-directory", "-s", "VARIANT=release", "print-flags"], cwd=root,
                             check=True, capture_output=True, text=True).stdout
    flags = next(line for line in printed.splitlines() if line.startswith("CFLAGS=")).removeprefix("CFLAGS=")
    return [flag for flag in re.findall(r"""(?:'[^']*'|\S)+""", flags) if re.match(r"-[Ds]", flag)]


# Files that no program of the stages has, except those of the group `link`.
ONLY_LINKED = ("pin", "watched")


def find(root):
    """Returns every mutation of core/, in a fixed order."""
    names = sorted(f"core/{path.name}" for path in (root / "core").glob("*.[ch]") if path.stem not in ONLY_LINKED)
    files = {str(root / name): File(root, name) for name in names}
    finder = Finder(files)
    index = Index.create()
    flags = [flag.replace("'", "") for flag in release_flags(root)] + [f"-I{root}"]
    for name in names:
        if name.endswith(".c"):
            unit = index.parse(str(root / name), flags, options=TranslationUnit.PARSE_NONE)
            errors = [d.spelling for d in unit.diagnostics if d.severity >= 3]
            if errors:
                raise SystemExit(f"mutants: {name} does not parse: {errors[0]}")
            finder.walk_unit(unit)
    return [mutation for file in files.values() for mutation in file.mutations()]
