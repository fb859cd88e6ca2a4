"""What makes two URLs one."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.clusters import group_equal
from dedup.urls import normalised_urls, url_digests


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://WWW.Example.COM/Path?Query=1", "http://www.example.com/Path?Query=1"),
        ("http://example.com", "http://example.com/"),
        ("http://example.com?q=1", "http://example.com/?q=1"),
        ("http://example.com/a#part", "http://example.com/a"),
        ("http://example.com#a\nb", "http://example.com/"),
        ("http://example.com:80/a", "http://example.com/a"),
        ("https://example.com:443/a", "https://example.com/a"),
        ("https://example.com:80/a", "https://example.com:80/a"),
        ("http://example.com:8080/a", "http://example.com:8080/a"),
        ("http://example.com:/a", "http://example.com/a"),
        ("http://User:Pass@Example.com:80/", "http://User:Pass@example.com/"),
        ("http://[2001:DB8::80]:80/", "http://[2001:db8::80]/"),
        ("http://a.com/x?u=HTTP://B.com:80/", "http://a.com/x?u=HTTP://B.com:80/"),
        ("http://例え.jp/ページ?k=値", "http://例え.jp/ページ?k=値"),
        ("urn:uuid:Some-Thing", "urn:uuid:Some-Thing"),
        ("not a URL", "not a URL"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_url_is_compared_by_its_normal_form(url: str | None, expected: str) -> None:
    assert normalised_urls(pa.array([url], pa.string())).to_pylist() == [expected]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("http://a.com/", "https://a.com/"),
        ("http://a.com/", "http://www.a.com/"),
        ("http://a.com/x", "http://a.com/x/"),
        ("http://a.com/x", "http://a.com/X"),
        ("http://a.com/?a&b", "http://a.com/?b&a"),
        ("http://a.com/%41", "http://a.com/A"),
        ("http://a.com/", "http://a.com/?"),
    ],
)
def test_urls_that_may_be_different_pages_are_different(left: str, right: str) -> None:
    digests = url_digests(pa.array([left, right]))
    assert group_equal(digests).tolist() == [0, 1]


SCHEME_AND_PORTS = st.sampled_from([("http", ("", ":80", ":")), ("https", ("", ":443", ":"))])
HOST = st.text("abcDEF.-é", min_size=1, max_size=8)
TAIL = st.text("abC/:@%&=é ", max_size=10)


@given(SCHEME_AND_PORTS, HOST, TAIL, st.none() | TAIL, st.none() | TAIL, st.data())
@settings(deadline=None)
def test_ways_to_write_one_url_have_one_digest(scheme_and_ports, host, path, query, fragment, data) -> None:
    scheme, ports = scheme_and_ports
    end = "/" + path + ("" if query is None else "?" + query)
    respelled = "".join(c.upper() if c.isascii() and data.draw(st.booleans()) else c for c in f"{scheme}://{host}")
    other = respelled + data.draw(st.sampled_from(ports)) + end + ("" if fragment is None else "#" + fragment)
    digests = url_digests(pa.array([f"{scheme}://{host}{end}", other]))
    assert group_equal(digests).tolist() == [0, 0]


@given(st.lists(st.none() | st.text("aB:/?#@.8 é\n", max_size=12), max_size=8))
@settings(deadline=None)
def test_urls_are_one_exactly_if_their_normal_forms_are_and_missing_ones_never(urls) -> None:
    column = pa.array(urls, pa.string())
    first: dict[str, int] = {}
    expected = [
        first.setdefault(form, row) if form else row for row, form in enumerate(normalised_urls(column).to_pylist())
    ]
    assert group_equal(url_digests(column)).tolist() == expected


def test_digests_do_not_depend_on_how_the_column_is_cut() -> None:
    column = pa.array(["http://a.com", None, "http://b.com/x#y", "http://c.com"], pa.large_string())
    assert np.array_equal(url_digests(column)[1:], url_digests(column.slice(1)))
