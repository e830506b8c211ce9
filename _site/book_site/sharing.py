"""What a page says of itself to those who link to it: search engines, messengers, bookmarks.

Descriptions stand in ``_site/descriptions.yml``, one true sentence for each page: the first words
of a chapter are a caption or a caveat, and not what it is about.
"""

import re
import shutil
from html import escape
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import yaml
from sphinx.errors import ExtensionError

SITE = Path(__file__).parent.parent
ICONS = SITE / "web" / "icons"
CARD = ("icons/card.png", 1200, 630, "Level lines of a function with a saddle. One path runs into "
        "the saddle and stays; another is pushed a little and leaves. Beside them: Escaping "
        "Saddles, an executable book and a library.")
MISSING = "404"
# Pages that nobody should find by a search.
UNLISTED = ("search", MISSING)


def descriptions():
    """The description of each page by its name."""
    return yaml.safe_load((SITE / "descriptions.yml").read_text("utf8"))


def address(app, name):
    """The public address of a page: the first one is the address of the site itself."""
    base = app.config.html_baseurl
    return base if name == app.config.root_doc else urljoin(base, app.builder.get_target_uri(name))


def tag(kind, name, content):
    """A meta element."""
    return f'<meta {kind}="{name}" content="{escape(content)}" />'


def describe(app, pagename, templatename, context, doctree):
    """Fill the head of a page: what it is, where it is, and the card that is shown for it."""
    static = urljoin(app.config.html_baseurl, "_static/")
    pathto = context["pathto"]
    tags = [
        f'<link rel="icon" href="{pathto("favicon.ico", 1)}" sizes="32x32" />',
        f'<link rel="apple-touch-icon" href="{pathto("_static/icons/apple-touch.png", 1)}" />',
        f'<link rel="manifest" href="{pathto("_static/site.webmanifest", 1)}" />',
        '<meta name="theme-color" media="(prefers-color-scheme: light)" content="#ffffff" />',
        '<meta name="theme-color" media="(prefers-color-scheme: dark)" content="#14181e" />',
    ]
    if pagename in UNLISTED:
        context["pageurl"] = None
        tags.append('<meta name="robots" content="noindex" />')
    elif doctree:
        if pagename not in (told := descriptions()):
            raise ExtensionError(f"{SITE.name}/descriptions.yml says nothing of {pagename}")
        context["pageurl"] = address(app, pagename)
        image, width, height, alt = CARD
        tags += [tag("name", "description", told[pagename])]
        tags += [tag("property", f"og:{key}", str(value)) for key, value in {
            "title": re.sub("<[^>]*>", "", context["title"]),
            "type": "website" if pagename == app.config.root_doc else "article",
            "url": context["pageurl"],
            "site_name": app.config.project,
            "description": told[pagename],
            "image": urljoin(static, image),
            "image:width": width,
            "image:height": height,
            "image:alt": alt,
        }.items()]
        tags.append(tag("name", "twitter:card", "summary_large_image"))
    # docutils writes a viewport of its own, the theme two more; step leaves the first.
    context["metatags"] = context.get("metatags", "") + "\n" + "\n".join(tags) + "\n"


def missing_page(app):
    """The page that a host shows where there is none; finished by `step`."""
    chapters = [(name, app.env.titles[name].astext()) for name in ordered(app)]
    links = "\n".join(
        f'<li><a href="{app.builder.get_relative_uri(MISSING, name)}">{escape(title)}</a></li>'
        for name, title in chapters)
    body = f"""<h1>There is no such page</h1>
<p>It may have moved, or its address was mistyped. Perhaps you were looking for one of these:</p>
<ul>
{links}
</ul>
<form action="search.html" method="get" role="search">
<label for="missing-search">Or search the book:</label>
<input id="missing-search" type="search" name="q" autocomplete="off" />
<button type="submit">Search</button>
</form>"""
    yield MISSING, {"title": "No such page", "body": body}, "page.html"


def ordered(app):
    """Names of the documents in reading order."""
    root = app.config.root_doc
    return [root, *app.env.toctree_includes.get(root, [])]


def everywhere(html, base):
    """A page whose relative addresses lead from the top of the site, wherever it is shown."""
    html = html.replace('data-content_root="./"', f'data-content_root="{base}"')
    return re.sub(r'(\s(?:href|src|action)=")(?![a-z][a-z0-9+.-]*:|[/#])([^"]*)',
                  lambda found: found[1] + urljoin(base, found[2]), html)


def write_lists(app):
    """Write what is looked for at the top of a site: the list of pages, and the icon."""
    out = Path(app.outdir)
    urls = "\n".join(f"  <url><loc>{escape(address(app, name))}</loc></url>"
                     for name in ordered(app))
    (out / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}\n</urlset>\n',
        "utf8")
    (out / "robots.txt").write_text(
        f"User-agent: *\nAllow: /\nSitemap: {urljoin(app.config.html_baseurl, 'sitemap.xml')}\n")
    shutil.copy(ICONS / "favicon.ico", out)


def step(app):
    """Of the pass over the finished pages: one viewport, one title, and the page of no address."""
    write_lists(app)
    base = urlsplit(app.config.html_baseurl).path

    def change(name, html):
        first, *others = re.findall(r'<meta [^>]*name="viewport"[^>]*>', html)
        head, body = html.split("</head>", 1)
        head = head.replace(first, "\0", 1)
        head = re.sub(r'\s*<meta [^>]*name="viewport"[^>]*>', "", head).replace("\0", first)
        if name == app.config.root_doc:
            head = re.sub(r"<title>[^<]*</title>", f"<title>{app.config.project}</title>", head)
        html = f"{head}</head>{body}"
        return everywhere(html, base) if name == MISSING else html

    return change


def setup(app):
    """Register with Sphinx."""
    app.connect("html-page-context", describe, priority=900)
    app.connect("html-collect-pages", missing_page)
