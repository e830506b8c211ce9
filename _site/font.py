"""Makes the font of the formulas: Latin Modern Math with the characters that formulas may use.

    apt-get download fonts-lmodern && dpkg-deb -x fonts-lmodern_*.deb lm
    python _site/font.py lm/usr/share/texmf/fonts/opentype/public/lm-math/latinmodern-math.otf

Version 1.959, from Debian's fonts-lmodern 2.005. Its licence asks that what is derived from it has
another name.
"""

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

OUT = Path(__file__).parent / "web" / "font" / "saddles-math.woff2"
NAME = "Saddles Math"
LETTERS = [
    *range(0x20, 0x7F),  # ASCII
    *range(0x1D434, 0x1D468), 0x210E,  # italic
    *range(0x391, 0x3AA), *range(0x3B1, 0x3CA), 0x3D1, 0x3D5, 0x3D6, 0x3F1, 0x3F5,  # Greek
    *range(0x1D6E2, 0x1D71C),  # Greek italic
    *map(ord, "ℂℕℚℝℤℓℱ𝒪𝒩𝒯ℒℋ𝔑"),
]
SIGNS = ("\u00a0\u2061±×·¬ˆ˜¯˙‾‖†…′″←→↔↑↓↦⇒⇔∀∂∃∅∇∈∉∋∏∑−∓∖∗∘√∝∞∥∧∨∩∪∫∼≃≅≈≠≡≤≥≪≫≺≻⊂⊃⊆⊇⊕⊗⊤⊥⋅⋆⋮⋯⋱⌈⌉⌊⌋"
         "⏞⏟□⟂⟨⟩⩽⩾")


def make(source):
    """Write the font. Its variants of letters for exponents are left out: no browser needs them."""
    options = subset.Options(layout_features=[], flavor="woff2", hinting=False,
                             name_IDs=[0, 1, 2, 3, 4, 5, 6, 13, 14], notdef_outline=True)
    options.drop_tables += ["FFTM"]
    font = TTFont(source, recalcTimestamp=False)
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
