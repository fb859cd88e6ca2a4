"""Text worth training on, by type of page: what twenty pages of each type showed, as small pages.

Which blocks are main text is not the model's choice here: all are but those with class="sidebar". It is about the text that is
made of them.
"""

import pytest

from pipeline.blocks.assembly import assemble
from pipeline.blocks.keywords import GROUPS
from pipeline.blocks.open_elements import KEYWORDS
from pipeline.blocks.shown import LITTLE_TEXT, read_page

SIDEBAR = 1 << list(GROUPS).index("sidebar")


def text(html: str) -> str:
    page = read_page(html.encode(), "utf-8")
    return assemble(page, page.rows[:, KEYWORDS] & SIDEBAR == 0)


def test_an_article_keeps_heading_paragraphs_quote_and_caption_in_order_and_nothing_that_nobody_sees() -> None:
    assert text("""
        <article><h1>The lamp at Gull&nbsp;Point</h1><p><i class="icon">\ue80c</i> 3 March</p>
        <p>Some<b>body</b> slept at the light\u00adhouse\u200b every <a href="/n">night</a>.</p>
        <div class="sidebar">Read more</div>
        <blockquote><p>“It never went out.”</p></blockquote>
        <figure><img src="a.jpg"><figcaption>The lamp, 1931</figcaption></figure><p>***</p>
        <h2>After the war</h2><p>Line one<br>line two</p></article>
    """) == (
        "The lamp at Gull Point\n3 March\nSomebody slept at the lighthouse every night.\n“It never went out.”\n"
        "The lamp, 1931\nAfter the war\nLine one\nline two"
    )


def test_a_forum_thread_keeps_who_said_what() -> None:
    assert (
        text("""
        <div class="post"><div class="user">anna</div><ul class="icons"><li>\uf1d8</li><li>?</li></ul>
          <div>Which oil for the hinge?<div>It squeaks.</div></div></div>
        <div class="post"><div class="user">boris</div>
          <div><blockquote>Which oil for the hinge?</blockquote>None. Wax.<br><br>Twice a year.</div></div>
    """)
        == "anna\nWhich oil for the hinge?\nIt squeaks.\nboris\nWhich oil for the hinge?\nNone. Wax.\n\nTwice a year."
    )


def test_a_thread_that_is_sent_in_noscript_and_drawn_by_a_script_is_read() -> None:
    post = "<div class='post'><p>Which oil for the hinge?</p></div>"
    assert text(f"<body><NOSCRIPT data-path='/t/1'>{post}</NOSCRIPT><script>draw()</script></body>") == (
        "Which oil for the hinge?"
    )


def test_noscript_is_not_read_where_a_page_has_text_beside_it() -> None:
    shown = "A sentence of the page. " * (LITTLE_TEXT // 20)
    assert text(f"<p>{shown}</p><noscript>Please enable JavaScript.</noscript>") == shown.strip()


def test_a_product_keeps_its_table_of_specifications_a_row_a_line() -> None:
    assert (
        text("""
        <h1>Kettle K2</h1><div class="sidebar"><p>Customers also bought</p></div>
        <table><tr><th>Volume</th><td>1.5 l</td></tr><tr><th>Lid</th><td>–</td></tr>
        <tr><th>Colours</th><td><span>red</span>, <span>blue</span></td></tr></table>
        <dl><dt>Warranty</dt><dd>2 years</dd></dl><p>•</p>
    """)
        == "Kettle K2\nVolume | 1.5 l\nLid | –\nColours | red, blue\nWarranty\n2 years"
    )


@pytest.mark.parametrize(
    "code",
    [
        'if a &lt; b:\n    print("x")\n\n    return\n}',
        '<code><span class="k">if</span> a &lt; b:\n    print(<span>"x"</span>)\n\n    return\n}</code>',
        '<div>if a &lt; b:</div><div>    print("x")\n</div><div>    return</div><div>}</div>',
    ],
    ids=["plain", "highlighted", "an element a line"],
)
def test_documentation_keeps_code_as_it_is(code: str) -> None:
    blank_line = "\n" if "<div>" not in code else ""
    expected = f'read(a)\nReturns nothing.\nif a < b:\n    print("x"){blank_line}\n    return\n}}\nSee also write().'
    page = f"<h3><code>read</code>(<em>a</em>)</h3><p>Returns <code>nothing</code>.</p><pre>\n{code}\n</pre>See also write()."
    assert text(page) == expected


def test_a_listing_keeps_an_entry_together() -> None:
    assert (
        text("""
        <ul><li><a href="/1"><h3>First report</h3></a><p>What was found.</p><span>3 March</span></li>
        <li><h3><a href="/2">Second report</a></h3><p>What was lost.</p></li></ul>
        <ul class="sidebar"><li>1</li><li>2</li><li>»</li></ul>
    """)
        == "- First report\nWhat was found.\n3 March\n- Second report\nWhat was lost."
    )


def test_a_recipe_keeps_ingredients_and_steps() -> None:
    assert (
        text("""
        <h1>Flat bread</h1><h2>Ingredients</h2><ul><li>250&#8239;g&nbsp;flour<li>½ tsp salt</ul>
        <h2>Steps</h2><ol><li>Knead<p>Ten minutes.</p><li><p>Bake.</ol>
    """)
        == "Flat bread\nIngredients\n- 250 g flour\n- ½ tsp salt\nSteps\n- Knead\nTen minutes.\n- Bake."
    )


def test_a_question_and_its_answers_are_told_apart_by_their_order() -> None:
    assert (
        text("""
        <h1>Why is the sky dark at night?</h1><div>Asked by <a href="/u">Olbers</a></div><h2>2 Answers</h2>
        <div><div class="vote">7</div><p>It is not infinitely old.</p></div>
        <div><div class="vote">▲</div><p>See <code>H<sub>0</sub></code>.</p></div>
    """)
        == "Why is the sky dark at night?\nAsked by Olbers\n2 Answers\n7\nIt is not infinitely old.\nSee H0."
    )


def test_japanese_gets_no_spaces_between_its_words() -> None:
    assert text("<h1>灯台の<b>歴史</b></h1><p>昔、<a href='/k'>岬</a>に灯台が\nあった。</p><ul><li>一つ</li></ul>") == (
        "灯台の歴史\n昔、岬に灯台が あった。\n- 一つ"
    )


def test_arabic_and_persian_keep_their_joiners_and_marks_of_direction() -> None:
    assert text('<p dir="rtl">كان في <b>الجزيرة</b>\u200f منارة؟</p><p>می\u200cخواهم</p>') == (
        "كان في الجزيرة\u200f منارة؟\nمی\u200cخواهم"
    )
