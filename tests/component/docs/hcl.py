# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads HCL, as far as the Terraform module of docs/deploy/azure has it: blocks, attributes, and expressions, which stay lists of
tokens. What it does not know (heredocs, for one) is an error."""

import re

TOKEN = re.compile(r"""(?P<space>[ \t]+|\#[^\n]*|//[^\n]*|/\*.*?\*/)|(?P<line>\n)|(?P<number>\d+(\.\d+)?)
                       |(?P<name>[A-Za-z_][\w-]*)
                       |(?P<mark>=>|==|!=|<=|>=|&&|\|\||\.\.\.|[-+*/%<>=!?:.,(){}\[\]])""", re.X | re.S)
OPEN, CLOSE = set("([{"), set(")]}")


class Syntax(Exception):
    pass


def string(text, at):
    """The end of the string that begins at AT, with what it has in ${ }."""
    depth, at = 0, at + 1
    while at < len(text) and text[at] != "\n":
        if text[at] == "\\" and not depth:
            at += 2
            continue
        if text.startswith("${", at):
            depth, at = depth + 1, at + 1
        elif depth and text[at] == "}":
            depth -= 1
        elif text[at] == '"':
            if not depth:
                return at + 1
            at = string(text, at) - 1
        at += 1
    raise Syntax(f"line {text.count(chr(10), 0, at) + 1}: a string without end")


def tokens(text):
    at = 0
    while at < len(text):
        if text[at] == '"':
            end = string(text, at)
            yield text[at:end]
        else:
            found = TOKEN.match(text, at)
            if not found:
                raise Syntax(f"line {text.count(chr(10), 0, at) + 1}: {text[at]!r}")
            end = found.end()
            if found.lastgroup != "space":
                yield found[0]
        at = end


class Block:
    """One block, or a whole file: attributes {name: [token]}, and blocks [(type, labels, Block)] in their order."""

    def __init__(self):
        self.attributes, self.blocks = {}, []

    def all(self, kind, *labels):
        return [block for what, names, block in self.blocks if what == kind and names[:len(labels)] == list(labels)]

    def one(self, kind, *labels):
        (found,) = self.all(kind, *labels)
        return found

    def expressions(self):
        """(name, tokens) of this block and all below it."""
        yield from self.attributes.items()
        for _, _, block in self.blocks:
            yield from block.expressions()


def expression(words, at):
    """The tokens up to the end of the line, or of the bracket around it."""
    found, depth = [], 0
    while at < len(words):
        word = words[at]
        if not depth and (word == "\n" or word in CLOSE):
            break
        depth += (word in OPEN) - (word in CLOSE)
        if word != "\n":
            found.append(word)
        at += 1
    if not found or depth:
        raise Syntax("an expression without begin or end")
    return found, at


def body(words, at, end):
    block = Block()
    while True:
        while at < len(words) and words[at] == "\n":
            at += 1
        if at == len(words) or words[at] == end:
            if (at == len(words)) != (end is None):
                raise Syntax("a block without end")
            return block, at + 1
        name = words[at]
        if words[at + 1] == "=":
            if name in block.attributes:
                raise Syntax(f"{name} twice")
            block.attributes[name], at = expression(words, at + 2)
            continue
        labels, at = [], at + 1
        while words[at] != "{":
            if not re.fullmatch(r'"[^"]*"|[A-Za-z_][\w-]*', words[at]):
                raise Syntax(f"{name}: {words[at]!r} where a block begins")
            labels.append(words[at].strip('"'))
            at += 1
        inner, at = body(words, at + 1, "}")
        block.blocks.append((name, labels, inner))


def read(text):
    """The file's content as a Block."""
    return body(list(tokens(text)), 0, None)[0]


def literal(words):
    """The value of an expression that is one: text, number, boolean, list, object with names as keys. Others stay as text."""
    if len(words) == 1:
        word = words[0]
        if word in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[word]
        if word.isdigit():
            return int(word)
        return word[1:-1] if word[0] == '"' and "${" not in word else word
    if words[0] == "[" and words[-1] == "]" and "for" not in words:
        return [literal(part) for part in split(words[1:-1])]
    if words[0] == "{" and words[-1] == "}" and "for" not in words:
        found = {}
        for part in split(words[1:-1], after_values=True):
            found[part[0].strip('"')] = literal(part[2:])
        return found
    return " ".join(words)


def split(words, after_values=False):
    """Parts between commas; members of an object may also just follow one another (lines were joined)."""
    parts, depth = [[]], 0
    for index, word in enumerate(words):
        follows = after_values and not depth and parts[-1] and index + 1 < len(words) and words[index + 1] == "=" and word != ","
        if follows:
            parts.append([])
        if word == "," and not depth:
            parts.append([])
            continue
        depth += (word in OPEN) - (word in CLOSE)
        parts[-1].append(word)
    return [part for part in parts if part]
