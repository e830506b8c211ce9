"""The API reference: what the docstrings of saddlelib say, with a link for each name in backticks.

Each page of api/ names a room, and autodoc writes what the room exports. A name that stands at the
front door, or in the room where it was made, is not written a second time by one that hands it on.
"""

import functools
import importlib
import inspect
import pkgutil
import re
import sys

FRONT = "saddlelib"
CONFIG = {
    # A definition for each name, in the order of __all__, with the defaults as they were written.
    "autodoc_member_order": "bysource",
    "autodoc_preserve_defaults": True,
    "autodoc_typehints": "none",
    "add_module_names": False,
    "toc_object_entries_show_parents": "hide",
    "default_role": "py:obj",  # of names in tables
    "napoleon_google_docstring": False,
    "napoleon_use_param": False,
    "napoleon_use_rtype": False,
    # Sections with a list of names; those of `minimize` are its parameters, by what they are for.
    "napoleon_custom_sections": [
        (title, "params_style")
        for title in ("Attributes", "The function", "The method", "The goal",
                      "Randomness and noise", "Budget, and what you see")],
}
# Classes of others, which their own documentation shows.
STRANGERS = {"ABC", "AnyWidget", "Enum", "IntEnum", "OptimizeResult", "Optimizer", "float",
             "object", "tuple"}
# What stands as it is: literals, roles and their like; and what does not: names, bars, and indices
# and powers, which a terminal shows as λ_min, x_{k+1}, uᵢ^{2−p} and (1 + ηγ)^(−t). A letter with an
# index is Greek, a capital, or alone with one that is alone: t_max is a name.
INLINE = re.compile(
    r"\\.|``.+?``|:[\w:]+:`[^`]*`|`[^`]+`__?|`(?P<name>[^`]+)`|(?P<bar>\|)"
    r"|(?P<mark>[_^])\{(?P<braced>[^{}]+)\}"
    r"|\^(?:\((?P<power>(?:[^()]|\([^()]*\))+)\)|(?P<short>[^\W_]+|⊥))"
    r"|(?P<letter>(?<![\w.*])(?:[a-z](?=_[^\W_](?!\w))|[ck](?=_max))|(?<![_.*])[A-ZΑ-ω])"
    r"_(?P<index>[a-z0-9]+|[A-Z])(?![\w*])", re.DOTALL)
# Lines after which indented ones are no text; and the first of a session in Python or of a table.
BLOCK = re.compile(r"(\s*)(?:\.\. (?:math|code|code-block)::|[^.].*::$)")
VERBATIM = re.compile(r"\s*(?:>>>|=+(?: +=+)+\s*$)")
NAME = re.compile(r"[A-Za-z_][\w.]*(?:\(\))?")


@functools.cache
def rooms():
    """The public rooms: the front door, the modules beside it, and those of theory."""
    front = importlib.import_module(FRONT)
    names = sorted(info.name for info in pkgutil.iter_modules(front.__path__)
                   if not info.name.startswith("_"))
    found = [front, *(importlib.import_module(f"{FRONT}.{name}") for name in names)]
    theory = importlib.import_module(f"{FRONT}.theory")
    return found + [getattr(theory, name) for name in theory.__all__]


def homes(modules):
    """The name under which each public class and function is documented, by its object.

    Of the rooms that export it the first, and the front door is the first of all.
    """
    found = {}
    for module in modules:
        for name in module.__all__:
            thing = getattr(module, name)
            if callable(thing):
                found.setdefault(thing, f"{module.__name__}.{name}")
    return found


@functools.cache
def known():
    """`homes` of all rooms."""
    return homes(rooms())


def skip(app, what, name, thing, skipped, options):
    """Leave out of a room what another one shows."""
    if what == "module" and callable(thing) and thing in known():
        here = app.env.temp_data.get("autodoc:module") or app.env.ref_context.get("py:module")
        return True if known()[thing] != f"{here}.{name}" else None
    return None


def member(owner, name):
    """The documented name of a member of a class, or that of the class whose docstring has it."""
    classes = owner.__mro__
    holder = next((i for i, cls in enumerate(classes) if name in vars(cls)), None)
    public = None if holder is None or name.startswith("_") else next(
        (known()[cls] for cls in classes[holder::-1] if cls in known()), None)
    found = None if holder is None else vars(classes[holder])[name]
    shown = callable(found) or isinstance(found, (property, classmethod, staticmethod,
                                                  functools.cached_property))
    return f"{public}.{name}" if public and shown else public


def meant(words, thing):
    """The documented name of what some words in the docstring of a thing refer to, or None."""
    path = words.removesuffix("()").removeprefix(f"{FRONT}.").split(".")
    home = sys.modules.get(getattr(thing, "__module__", None) or getattr(thing, "__name__", ""))
    owner = getattr(home, getattr(thing, "__qualname__", "").split(".")[0], None)
    spaces = [owner] if isinstance(owner, type) else []
    names = [f"{FRONT}.theory", FRONT]
    for space in [*spaces, home, *filter(None, map(sys.modules.get, names))]:
        found, last = space, None
        for name in path:
            last, found = found, getattr(found, name, None)
        if found is None:
            continue
        if callable(found) and not isinstance(last, type) and found in known():
            return known()[found]
        if isinstance(last, type):
            return member(last, path[-1])
        if inspect.ismodule(found):
            return found.__name__ if found in rooms() else None
    return None


def with_links(text, thing):
    """Some words of a docstring: names become links where they are documented, else literals."""
    def one(found):
        if found["bar"]:
            return r"\|"
        raised = found["power"] or found["short"] or found["mark"] == "^" and found["braced"]
        lowered = found["mark"] == "_" and found["braced"]
        if found["letter"]:
            return rf"{found['letter']}\ :sub:`{found['index']}`\ "
        if raised or lowered:
            return rf"\ :{'sup' if raised else 'sub'}:`{raised or lowered}`\ "
        words = found["name"]
        if not words:
            return found[0]
        full = meant(words, thing) if NAME.fullmatch(words) else None
        return f":py:obj:`{words} <{full}>`" if full else f"``{words}``"

    return INLINE.sub(one, text)


def blocks(lines):
    """Pieces of a docstring: text to be read, and what stands as it is."""
    piece, indent, session = [], None, False
    for line in lines:
        if indent is not None and line.strip() and len(line) - len(line.lstrip()) <= indent:
            yield False, piece
            piece, indent = [], None
        if indent is None and not session and VERBATIM.match(line):
            yield True, piece
            piece, session = [], True
        if session and not line.strip():
            yield False, piece
            piece, session = [], False
        block = BLOCK.match(line) if indent is None and not session else None
        if block and line.lstrip().startswith(".."):  # what follows on this line is no text either
            yield True, piece
            piece, indent = [line], len(block[1])
            continue
        piece.append(line)
        if block:
            yield True, piece
            piece, indent = [], len(block[1])
    yield indent is None and not session, piece


def put_aside(app, what, name, thing, options, lines):
    """Napoleon takes what stands before a colon in the docstring of a property for its type."""
    if what in ("attribute", "data", "property"):
        app.env.temp_data["api:aside"] = lines[:]
        lines.clear()


def link(app, what, name, thing, options, lines):
    """Give the docstring its links; after Napoleon has read its sections."""
    lines[:] = app.env.temp_data.pop("api:aside", lines)
    done = []
    for is_text, piece in list(blocks(lines)):
        if is_text and piece:
            text = with_links("\n".join(piece), thing)
            # Napoleon and docutils take a sentence of one capital, "M.", for item 13 of a list.
            piece = re.sub(r" --\n\s*(?=[A-Z]\.$)", " -- ", text, flags=re.MULTILINE).split("\n")
        done += piece
    lines[:] = done


def name_traits(app, what, name, thing, options, signature, returned):
    """What a live figure takes are its traits, by name."""
    return ("(**traits)", None) if signature == "(*args, **kwargs)" else None


def dress(app, pagename, templatename, context, doctree):
    """Load the style of the reference; and quotation marks are those of Python."""
    if pagename.startswith("api/"):
        app.add_css_file("api.css", priority=910)
        context["body"] = re.sub("[“”]", "&quot;", context["body"])


def configure(app, config):
    """Set what Sphinx and its extensions have to know.

    A class shows what it has from classes that no page shows, and nothing of the others.
    """
    shown = {thing.__name__ for thing in known() if isinstance(thing, type)} | STRANGERS
    config.autodoc_default_options = {"members": True, "no-value": True,
                                      "inherited-members": ",".join(sorted(shown))}
    for key, value in CONFIG.items():
        setattr(config, key, value)


def setup(app):
    """Register with Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("config-inited", configure, priority=100)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", name_traits)
    app.connect("autodoc-process-docstring", put_aside, priority=400)
    app.connect("autodoc-process-docstring", link, priority=600)
    app.connect("html-page-context", dress)
