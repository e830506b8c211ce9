"""Formulas typeset when the book is built: MathML by Temml, which a small JavaScript engine runs.

The reader's browser draws them with the text around them: nothing moves when they arrive, and they
are there without scripts.
"""

import functools
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import quickjs
from docutils import nodes
from sphinx.errors import SphinxError
from sphinx.util.math import get_node_equation_number

TEMML = Path(__file__).parent.parent / "vendor" / "temml" / "temml.min.js"
TYPESET = """(tex, options) => {
  try {
    return JSON.stringify({ mathml: temml.renderToString(tex, JSON.parse(options)) });
  } catch (error) {
    return JSON.stringify({ error: error.message });
  }
}"""
ENVIRONMENT = re.compile(r"\\begin\{(\w+\*?)\}(?:(?!\\begin\{).)*?\\end\{\1\}", re.DOTALL)
NUMBERED = re.compile(r"\\(begin|end)\{(equation|align|alignat|gather|multline|eqnarray)\}")
# Characters that surely fit in a line on a phone.
LINE = 20
APPLY = "\u2061"  # what MathML has after the name of a function
NAMESPACE = "http://www.w3.org/1998/Math/MathML"
ROWS = {"math", "mrow", "mstyle", "mtd", "msqrt", "mpadded"}
SCRIPTS = {"msub", "msup", "msubsup", "munder", "mover", "munderover"}
ET.register_namespace("", NAMESPACE)


class FormulaError(SphinxError):
    """A formula that cannot be typeset."""

    category = "Formula error"


@functools.cache
def engine():
    """Temml, ready to be called with TeX and options as JSON; it answers in JSON."""
    context = quickjs.Context()
    context.eval(TEMML.read_text("utf8"))
    return context.eval(TYPESET)


@functools.cache
def typeset(tex, display=False, xml=False):
    """MathML of a formula, with its TeX as an annotation; a ValueError says what is wrong."""
    options = {"displayMode": display, "xml": xml, "annotate": True, "throwOnError": True}
    answer = json.loads(engine()(tex, json.dumps(options)))
    if "error" in answer:
        # Temml underlines the place with marks that are no letters of the formula.
        raise ValueError(re.sub("\u0332", "", " ".join(answer["error"].split())))
    return spaced(answer["mathml"])


def kind(node):
    """The name of an element of MathML."""
    return node.tag.rpartition("}")[2]


def core(node):
    """What an element is without its indices and powers."""
    while kind(node) in SCRIPTS:
        node = node[0]
    return node


def is_atom(node):
    """Whether what ends here is a letter, a number, a fraction or a closed bracket."""
    node = core(node)
    if kind(node) in ROWS:  # behind an upright letter Temml puts a space of no width
        inside = [part for part in node if kind(part) != "mspace" or part.get("width")]
        return bool(inside) and is_atom(inside[-1])
    closes = kind(node) == "mo" and node.get("form") == "postfix"
    return closes or kind(node) in ("mi", "mn", "mfrac", "msqrt", "mroot")


def is_function(row, at):
    """Whether the name of a function begins here, and no space before it."""
    inside = row[at] if kind(row[at]) == "mrow" else row[at:at + 2]
    return len(inside) > 1 and inside[1].text == APPLY and len(core(inside[0]).text or "") > 1


def spaced(mathml):
    """MathML with TeX's thin space between what has an index, or a fraction, and `max` or `ln`.

    Temml has it between single letters alone.
    """
    if APPLY not in mathml:
        return mathml
    tree, found = ET.fromstring(mathml), False
    for row in [node for node in tree.iter() if kind(node) in ROWS]:
        for at in range(len(row) - 1, 0, -1):
            if is_function(row, at) and is_atom(row[at - 1]):
                row.insert(at, ET.Element("mspace", width="0.1667em"))
                found = True
    return ET.tostring(tree, "unicode", short_empty_elements=False) if found else mathml


def place(node):
    """Where a formula stands in its source: file and line, in a notebook also the cell."""
    while node.line is None and node.parent is not None:
        node = node.parent
    source, line = node.source or node.document["source"], node.line or 0
    # MyST-NB numbers the lines of the first cell from 10000, of the second from 20000 and so on.
    cell, line = divmod(line, 10_000)
    return f"{source}, " + (f"cell {cell}, " if cell else "") + f"line {line}"


def mathml_of(translator, node, tex, display=False):
    """MathML of a node's TeX; an error that stops the build says where the formula stands."""
    try:
        return typeset(tex, display, translator.builder.name == "epub")
    except ValueError as error:
        raise FormulaError(f"{place(node)}: {error}\n{node.astext()}") from None


def aligned(tex):
    """TeX of a display as Sphinx understands it: blank lines and line breaks begin a new row."""
    rows = [row for row in re.split(r"\n\s*\n", tex.strip()) if row.strip()]
    inner, found = tex, 1
    while found:  # from the inside out
        inner, found = ENVIRONMENT.subn("", inner)
    if len(rows) == 1 and r"\\" not in inner:
        return rows[0]
    return r"\begin{aligned}" + r" \\ ".join(rows) + r"\end{aligned}"


def width(mathml):
    """Roughly how many characters a formula is wide: those that a reader sees, and blanks."""
    seen = re.sub(r"<annotation.*?</annotation>", "", mathml)
    return len(re.sub("<[^>]*>|\u2061", "", seen)) + seen.count("<mspace")


def visit_inline(self, node):
    """Write a formula in the text."""
    mathml = mathml_of(self, node, node.astext())
    kind = "math notranslate nohighlight" + (" long" if width(mathml) > LINE else "")
    self.body.append(self.starttag(node, "span", "", CLASS=kind) + mathml + "</span>")
    raise nodes.SkipNode


def visit_display(self, node):
    """Write a displayed formula, with its number and a link to it if it has one."""
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    if node["nowrap"]:  # an environment, which would number its rows once more
        tex = NUMBERED.sub(r"\\\1{\2*}", node.astext())
    else:
        tex = aligned(node.astext())
    self.body.append(mathml_of(self, node, tex, display=True) + "</div>\n")
    raise nodes.SkipNode


def add_files(app, pagename, templatename, context, doctree):
    """On a page with formulas, load their font at once, and the script that copies them."""
    if "<math" in context.get("body", ""):
        font = context["pathto"]("_static/font/saddles-math.woff2", resource=True)
        context["metatags"] += (
            f'<link rel="preload" href="{font}" as="font" type="font/woff2" crossorigin />')
        app.add_js_file("copy.js", type="module")


def setup(app):
    """Register with Sphinx."""
    app.connect("html-page-context", add_files)
    app.add_html_math_renderer("buildtime", (visit_inline, None), (visit_display, None))
    app.add_css_file("formulas.css", priority=890)
