# SPDX-License-Identifier: MIT
"""What the public headers declare, as ctypes: functions, structs, constants."""
import ctypes
import pathlib
import re

SIMPLE = {"int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "uint32_t": ctypes.c_uint32,
          "uint64_t": ctypes.c_uint64, "size_t": ctypes.c_size_t, "double": ctypes.c_double, "float": ctypes.c_float,
          "char": ctypes.c_char, "void": None}
QUALIFIERS = ("const", "struct")


class Headers:
    """names: a module that has the rn_ types by name; left_out: file names of headers to pass over."""

    def __init__(self, folder, names, left_out=()):
        paths = [path for path in sorted(pathlib.Path(folder).rglob("*.h")) if path.name not in left_out]
        self.names = names
        self.text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", "".join(path.read_text() for path in paths), flags=re.S)
        self.code = re.sub(r"^\s*#(?:[^\n]*\\\n)*[^\n]*", " ", self.text, flags=re.M)

    def type_of(self, words, stars):
        name = " ".join(word for word in words.split() if word not in QUALIFIERS)
        kind = SIMPLE[name] if name in SIMPLE else getattr(self.names, name)
        if stars and name in ("char", "void"):
            kind, stars = {"char": ctypes.c_char_p, "void": ctypes.c_void_p}[name], stars - 1
        for _ in range(stars):
            kind = ctypes.POINTER(kind)
        return kind

    def _parameter(self, text):
        words = re.match(r"\s*((?:(?:%s) )*\w+)" % "|".join(QUALIFIERS), text).group(1)
        return self.type_of(words, text.count("*") + text.count("["))

    def functions(self):
        """{name: (type of the result, [types of the parameters])}"""
        found = {}
        for result, name, parameters in re.findall(r"\bRN_API\b([\w\s*]*?)\b(rn_\w+)\s*\(([^;{]*?)\)\s*;", self.code):
            listed = [] if parameters.strip() == "void" else parameters.split(",")
            found[name] = (self.type_of(result.replace("*", " "), result.count("*")), [*map(self._parameter, listed)])
        return found

    def results(self):
        """{name of a function: result as written}"""
        return {name: result for result, name in re.findall(r"\bRN_API\s+([\w ]+?[ *]+)(rn_\w+)\s*\(", self.code)}

    def _fields(self, declaration):
        callback = re.match(r"[^(]*\(\s*\*\s*(\w+)\s*\)\s*\(", declaration)
        if callback:
            return [(callback.group(1), None)]
        words = re.match(r"(?:(?:%s) )*\w+" % "|".join(QUALIFIERS), declaration).group(0)
        fields = []
        for part in declaration[len(words):].split(","):
            name, size = re.search(r"(\w+)\s*(?:\[(\w+)\])?\s*$", part).groups()
            kind = self.type_of(words, part.count("*"))
            if size:
                kind = kind * (int(size) if size.isdigit() else getattr(self.names, size[len("RN_"):]))
            fields.append((name, kind))
        return fields

    def structs(self):
        """{name: [(field, type)]}; the type of a callback is None."""
        found = {}
        for name, body in re.findall(r"typedef struct (rn_\w+)\s*\{(.*?)\}\s*\1\s*;", self.code, flags=re.S):
            declarations = filter(None, (part.strip() for part in body.split(";")))
            found[name] = [field for declaration in declarations for field in self._fields(declaration)]
        return found

    def constants(self):
        """{name: value} of enumerators, statuses and numeric macros."""
        found = {}
        for body in re.findall(r"\benum\s*\{([^}(]*)\}", self.text):
            value = -1
            for part in filter(None, (part.strip() for part in body.split(","))):
                name, _, given = (side.strip() for side in part.partition("="))
                value = int(given, 0) if given else value + 1
                found[name] = value
        found.update((name, int(value)) for name, value in
                     re.findall(r"^#define (RN_\w+) (\d+)u?\s*$", self.text, flags=re.M))
        found.update((name, int(value)) for name, value in re.findall(r"\bX\((RN_\w+), (-?\d+),", self.text))
        return found
