"""From a text of `pages/` to the HTML of a site, with all that surrounds text on real pages.

The texts use a small part of Markdown, one block to a paragraph: `# ` and `## ` headings, `- ` lists, four spaces for
code, `/ ` for lines of verse (broken with <br>), `**bold**`. Four sites wrap them in menus, sidebars, advertisements,
scripts, comments and footers of their own, none of which belongs in a corpus.
"""

import html
import re
from collections.abc import Callable

_SCRIPT = """<script>
(function () { var q = window._stats || []; q.push(['page', document.location.pathname]); window._stats = q; })();
</script>"""

_ADVERTISEMENT = """<div class="ad-banner" id="ad-top"><span>Advertisement</span>
<a href="/out?to=42"><img src="/img/sale.gif" alt="Big sale, this week only"></a></div>"""


def page_html(text: str, site: str, url: str, lang: str = "en", extra: str = "") -> str:
    """One page of `site`; `extra` is HTML for the end of the article."""
    title, _, rest = text.partition("\n")
    heading = title.removeprefix("# ") if title.startswith("# ") else ""
    blocks = (rest if heading else text).strip().split("\n\n")
    article = "\n".join(_block_html(block) for block in blocks) + extra
    return _SITES[site](_inline_html(heading), article, html.escape(url), lang)


def _inline_html(text: str) -> str:
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html.escape(text, quote=False))


def _block_html(block: str) -> str:
    lines = block.split("\n")
    if block.startswith("## "):
        return f"<h2>{_inline_html(block[3:])}</h2>"
    if block.startswith("- "):
        return "<ul>\n" + "\n".join(f"<li>{_inline_html(line[2:])}</li>" for line in lines) + "\n</ul>"
    if block.startswith("/ "):
        return "<p>" + "<br>\n".join(_inline_html(line[2:]) for line in lines) + "</p>"
    if block.startswith("    "):
        return "<pre><code>" + "\n".join(html.escape(line[4:]) for line in lines) + "</code></pre>"
    return f"<p>{_inline_html(block)}</p>"


def _magazine(heading: str, article: str, url: str, lang: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<title>{heading} | Harbour Notes</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta property="og:title" content="{heading}">
<meta property="og:type" content="article">
<link rel="canonical" href="{url}">
<link rel="stylesheet" href="/assets/site.css">
<style>.article p {{ margin: 0 0 1em }} .ad-banner {{ float: right }}</style>
<script type="application/ld+json">{{"@context": "https://schema.org", "@type": "Article", "inLanguage": "{lang}"}}</script>
{_SCRIPT}
</head>
<body class="single">
<!-- header: generated, do not edit -->
<header class="site-header">
<a class="logo" href="/">Harbour Notes</a>
<nav class="main-nav"><ul><li><a href="/">Home</a></li><li><a href="/history">History</a></li>
<li><a href="/science">Science</a></li><li><a href="/culture">Culture</a></li><li><a href="/about">About us</a></li></ul></nav>
<form class="search" action="/search"><input name="q" placeholder="Search"><button>Go</button></form>
</header>
{_ADVERTISEMENT}
<main>
<article class="article">
<h1>{heading}</h1>
<div class="entry-content">
{article}
</div>
<div class="share-buttons"><a href="#">Share</a> <a href="#">Tweet</a> <a href="#">Print</a></div>
</article>
</main>
<aside class="sidebar"><h3>Most read</h3><ol><li><a href="/a/1">Ten harbours that you can visit in a day</a></li>
<li><a href="/a/2">Where the herring went</a></li><li><a href="/a/3">Our readers' best photographs</a></li></ol></aside>
<div id="comments" class="comments"><h3>2 comments</h3>
<div class="comment"><p>First! Great piece, as always.</p></div>
<div class="comment"><p>I think that the second paragraph is a bit unfair.</p></div></div>
<footer class="site-footer"><p>© 2024 Harbour Notes. All rights reserved. <a href="/privacy">Privacy policy</a> ·
<a href="/terms">Terms of use</a></p><p>We use cookies to make this site better.</p></footer>
</body>
</html>
"""


def _weblog(heading: str, article: str, url: str, lang: str) -> str:
    return f"""<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><title>{heading} – The Back Garden</title>
<link rel="alternate" type="application/rss+xml" href="/feed"><meta name="generator" content="handmade 1.4">
</head><body>
<div id="page">
<div id="masthead" class="header"><h2 class="site-title"><a href="/">The Back Garden</a></h2><p>Notes from a small house</p></div>
<div id="menu" class="menu"><a href="/">blog</a> | <a href="/archive">archive</a> | <a href="/contact">contact</a></div>
<div id="content">
<div class="post hentry">
<h1 class="entry-title">{heading}</h1>
<div class="entry">
{article}
</div>
<p class="postmetadata tags">Filed under <a href="/tag/home">home</a>, <a href="/tag/slow">slow things</a></p>
</div>
</div>
<div id="sidebar" class="sidebar"><h4>Archive</h4><ul><li><a href="/2024/02">February 2024</a></li>
<li><a href="/2024/01">January 2024</a></li><li><a href="/2023/12">December 2023</a></li></ul>
<h4>Blogroll</h4><ul><li><a href="https://harbour-notes.example/">Harbour Notes</a></li></ul></div>
<div id="footer" class="footer">Powered by patience. Entries (RSS) and comments (RSS).</div>
</div>
{_SCRIPT}
</body></html>
"""


def _docs(heading: str, article: str, url: str, lang: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="{lang}">
<head><meta charset="utf-8"><title>{heading} — Larder 3 documentation</title>
<link rel="stylesheet" href="/_static/basic.css"><script src="/_static/doctools.js"></script></head>
<body>
<div class="related" role="navigation"><ul><li><a href="/genindex">index</a></li><li><a href="/next">next</a></li>
<li><a href="/prev">previous</a></li></ul></div>
<div class="sphinxsidebar" role="navigation"><h3>Table of contents</h3><ul><li><a href="/install">Installation</a></li>
<li><a href="/first">The first run</a></li><li><a href="/schedule">Schedules</a></li>
<li><a href="/restore">Restoring</a></li></ul></div>
<div class="document"><div class="body" role="main">
<h1>{heading}<a class="headerlink" href="#top" title="Permalink">¶</a></h1>
{article}
</div></div>
<div class="footer" role="contentinfo">© Copyright 2024, the Larder developers. Last updated in March.</div>
</body>
</html>
"""


def _forum(heading: str, article: str, url: str, lang: str) -> str:
    return f"""<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN">
<html lang="{lang}"><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8">
<title>{heading} :: Fix It Forum</title></head>
<body bgcolor="#ffffff">
<table width="100%" class="navbar"><tr><td><a href="/index">Forum index</a></td><td><a href="/faq">FAQ</a></td>
<td><a href="/register">Register</a></td><td><a href="/login">Log in</a></td></tr></table>
<div class="content" id="main-content">
<h1>{heading}</h1>
<div class="post-body">
{article}
</div>
</div>
<div class="pagination">Page 1 of 1</div>
<div id="footer">All times are UTC. Board software made by nobody in particular.</div>
</body></html>
"""


_SITES: dict[str, Callable[[str, str, str, str], str]] = {
    "magazine": _magazine,
    "weblog": _weblog,
    "docs": _docs,
    "forum": _forum,
}


def gallery_html(thumbnails: int) -> str:
    """A photo gallery on which trafilatura 2.3.1 takes time quadratic in `thumbnails`.

    Its fork of readability looks for the nearest sibling with text once for each empty <div>, past all the other empty
    ones: 2,000 of them took 4 s of CPU, 4,000 took 17 s, and 6,000 (295 kB, 16 kB compressed) 42 s.
    """
    caption = (
        "<p>The boats came home before dawn, and by the time that the sun was up the whole quay was covered with baskets. "
        "These are the pictures of that morning, in the order in which they were taken.</p>"
    ) * 4
    images = "\n".join(f'<div class="thumb"><img src="/p/{number}.jpg"></div>' for number in range(thumbnails))
    story = f"<div class='story'>{caption}{images}{caption}</div>"
    return f"<html><head><title>All pictures</title></head><body>{story}</body></html>"


def nested_html(depth: int) -> str:
    """Text at the bottom of `depth` nested <div>."""
    text = "<p>There is a sentence at the bottom of this page, and it is a long way down to it.</p>"
    return "<html><head><title>Deep</title></head><body>" + "<div>" * depth + text + "</div>" * depth + "</body></html>"


def links_html(links: int) -> str:
    """A page that is nothing but menus."""
    items = "\n".join(f'<li><a href="/category/{number}">Category number {number}</a></li>' for number in range(links))
    return f"<html><head><title>Site map</title></head><body><nav><ul>{items}</ul></nav><ul>{items}</ul></body></html>"


def readings_html(hours: int) -> str:
    """A table of numbers, reproducible and without a pattern."""
    rows = "\n".join(
        f"<tr><td>{hour % 24:02d}:00</td><td>{120 + hour * 37 % 41}</td><td>{3000 + hour * 7919 % 997}</td></tr>"
        for hour in range(hours)
    )
    return f"<table><tr><th>Hour</th><th>Level</th><th>Flow</th></tr>{rows}</table>"
