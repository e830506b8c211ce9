"""The sources of the book, references.bib, as a reader of plain Markdown meets them."""

import codecs
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

import latexcodec  # noqa: F401  gives Python the codec of LaTeX
from pybtex.database import parse_file

ARXIV = "10.48550/arXiv."


@dataclass(frozen=True)
class Source:
    """One entry: its key, the names and the year that cite it, and where it can be read."""

    key: str
    names: str
    year: str
    addresses: tuple[str, ...]

    @property
    def in_text(self):
        """The words of a citation that is part of a sentence."""
        return f"{self.names} ({self.year})"

    @property
    def aside(self):
        """The words of a citation that stands beside a sentence."""
        return f"({self.names}, {self.year})"

    @property
    def role(self):
        """Which role of MyST each of the two becomes."""
        return {self.in_text: f"{{cite:t}}`{self.key}`", self.aside: f"{{cite:p}}`{self.key}`"}


class Sources:
    """All entries of a file, by key and by address."""

    def __init__(self, path):
        self.by_key = {key: _read(key, entry)
                       for key, entry in parse_file(str(path)).entries.items()}

    @cached_property
    def by_address(self):
        """Each entry under each of its addresses."""
        return {address: source for source in self.by_key.values()
                for address in source.addresses}


def _read(key, entry):
    names = [_plain(" ".join(person.prelast_names + person.last_names))
             for person in entry.persons["author"]]
    some = " and ".join(names) if len(names) < 3 and "others" not in names else f"{names[0]} et al."
    return Source(key, some, entry.fields["year"], tuple(_addresses(entry.fields)))


def _plain(tex):
    return codecs.decode(tex, "ulatex").replace("{", "").replace("}", "")


def _addresses(fields):
    """Where an entry can be read, the place that asks for nothing first."""
    doi = fields.get("doi", "")
    if "eprint" in fields:
        yield f"https://arxiv.org/abs/{fields['eprint']}"
    elif doi.startswith(ARXIV):
        yield f"https://arxiv.org/abs/{doi.removeprefix(ARXIV)}"
    if doi:
        # A parenthesis would end a link of Markdown.
        yield f"https://doi.org/{quote(doi, safe='/')}"
    if "url" in fields:
        yield fields["url"]
