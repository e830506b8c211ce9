"""Makes the font of the formulas: Latin Modern Math with the characters that formulas may use.

    apt-get download fonts-lmodern && dpkg-deb -x fonts-lmodern_*.deb lm
    python _site/font.py lm/usr/share/texmf/fonts/opentype/public/lm-math/latinmodern-math.otf

Version 1.959, from Debian's fonts-lmodern 2.005. Its licence asks that what is derived from it has
another name.
"""

import sys
from pathlib import Path

from fontTools import subset
from fontTools.pens.boundsPen import BoundsPen
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.transformPen import TransformPen
from fontTools.ttLib import TTFont

OUT = Path(__file__).parent / "web" / "font" / "saddles-math.woff2"
NAME = "Saddles Math"
LETTERS = [
    *range(0x20, 0x7F),  # ASCII
    *range(0x1D434, 0x1D468), 0x210E,  # italic
    *range(0x391, 0x3AA), *range(0x3B1, 0x3CA), 0x3D1, 0x3D5, 0x3D6, 0x3F1, 0x3F5,  # Greek
    *range(0x1D6E2, 0x1D71C),  # Greek italic
    *map(ord, "ℂℕℚℝℤℓℱ𝒪𝒩ℛ𝒮𝒯ℒℋ𝔑"),
]
SIGNS = ("\u00a0\u2061±×·¬ˆ˜¯˙‾‖†…′″←→↔↑↓↦⇒⇔∀∂∃∅∇∈∉∋∏∑−∓∖∗∘√∝∞∥∧∨∩∪∫∼≃≅≈≠≡≤≥≪≫≺≻⊂⊃⊆⊇⊕⊗⊤⊥⋅⋆⋮⋯⋱⌈⌉⌊⌋"
         "⏞⏟□⟂⟨⟩⩽⩾")


# Chromium leaves room for the widest size of a sign that grows, whichever it draws (MathML Core
# asks for that), so widths are made alike or small: no blank stands behind a root or a bracket.
BRACKETS = "()[]{}⌈⌉⌊⌋⟨⟩"
BEARING = 110  # at most this much blank on the outer side of a bracket
GAP = 150  # between a letter and the bar of its root; the font's own 50 is a third of a pixel
# What the smallest root is higher than its letter needs hangs below the line, where TeX would share
# it between top and foot: so there is a root as low as small letters need.
LOW = 0.78
TALLEST = 2500  # sizes that no formula needs


def resize(font, glyph, shift, width, high=1, source=None):
    """Move a glyph's outline to the right, and give it another width, height or outline."""
    program = T2CharStringPen(width, font.getGlyphSet())
    font.getGlyphSet()[source or glyph].draw(TransformPen(program, (1, 0, 0, high, shift, 0)))
    top = font["CFF "].cff.topDictIndex[0]
    old = top.CharStrings[glyph]
    # A width in the outline is meant relative to the font's nominal one; nothing reads it but hmtx.
    new = program.getCharString(private=old.private, globalSubrs=old.globalSubrs)
    new.program = new.program[1:]
    top.CharStrings[glyph] = new
    font["hmtx"][glyph] = width, font["hmtx"][glyph][1] + shift


def sizes(font, sign):
    """The sizes of a sign that grows; without those that are too tall or made of pieces."""
    variants = font["MATH"].table.MathVariants
    place = variants.VertGlyphCoverage.glyphs.index(font.getBestCmap()[ord(sign)])
    growth = variants.VertGlyphConstruction[place]
    growth.GlyphAssembly = None
    growth.MathGlyphVariantRecord = [
        record for record in growth.MathGlyphVariantRecord if record.AdvanceMeasurement < TALLEST]
    growth.VariantCount = len(growth.MathGlyphVariantRecord)
    return [record.VariantGlyph for record in growth.MathGlyphVariantRecord]


def lower(font):
    """Make the first size of the root low; its outline goes where that of the tallest was."""
    variants = font["MATH"].table.MathVariants
    place = variants.VertGlyphCoverage.glyphs.index(font.getBestCmap()[ord("√")])
    growth = variants.VertGlyphConstruction[place]
    first, *others, spare = growth.MathGlyphVariantRecord
    width = font["hmtx"][first.VariantGlyph][0]
    resize(font, spare.VariantGlyph, 0, width, source=first.VariantGlyph)
    resize(font, first.VariantGlyph, 0, width, high=LOW)
    spare.AdvanceMeasurement = first.AdvanceMeasurement
    first.AdvanceMeasurement = round(LOW * first.AdvanceMeasurement)
    growth.MathGlyphVariantRecord = [first, spare, *others]


def fit(font):
    """Mend roots and the widths of brackets, and take primes that are meant to be raised."""
    font["MATH"].table.MathConstants.RadicalVerticalGap.Value = GAP
    lower(font)
    roots = sizes(font, "√")
    middle = (font["hmtx"][roots[0]][0] + font["hmtx"][roots[-1]][0]) // 2
    for glyph in roots:
        resize(font, glyph, middle - font["hmtx"][glyph][0], middle)
    for sign in BRACKETS:
        for glyph in sizes(font, sign)[1:]:
            pen = BoundsPen(font.getGlyphSet())
            font.getGlyphSet()[glyph].draw(pen)
            width = font["hmtx"][glyph][0]
            left, right = pen.bounds[0], width - pen.bounds[2]
            spare = max(0, max(left, right) - BEARING)
            resize(font, glyph, -spare if left > right else 0, width - spare)
    for table in font["cmap"].tables:
        if 0x2032 in table.cmap:
            table.cmap[0x2032] = "minute.st"
            table.cmap[0x203E] = table.cmap[0xAF]  # what Temml writes for a bar


def make(source):
    """Write the font. Its variants of letters for exponents are left out: no browser needs them."""
    options = subset.Options(layout_features=[], flavor="woff2", hinting=False,
                             name_IDs=[0, 1, 2, 3, 4, 5, 6, 13, 14], notdef_outline=True)
    options.drop_tables += ["FFTM"]
    font = TTFont(source, recalcTimestamp=False)
    fit(font)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[*LETTERS, *map(ord, SIGNS)])
    subsetter.subset(font)
    for record in font["name"].names:
        if record.nameID in (1, 3, 4, 6):
            record.string = NAME.replace(" ", "") if record.nameID == 6 else NAME
    font["CFF "].cff.fontNames[0] = NAME.replace(" ", "")
    OUT.parent.mkdir(exist_ok=True)
    font.flavor = "woff2"
    font.save(OUT)
    print(f"{OUT}: {OUT.stat().st_size / 1000:.1f} kB, {len(font.getBestCmap())} characters")


if __name__ == "__main__":
    make(sys.argv[1])
