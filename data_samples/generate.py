"""Writes the sample crawl: `python data_samples/generate.py [FOLDER]`. The same bytes every time, from the texts in `pages/`.

Dates are fixed, ids are derived from content, gzip members hold no time. (The bytes are those of the original zlib; zlib-ng,
which some Pythons are built with, compresses to other ones with the same content.)
"""

import sys
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from archive_bytes import Headers, arc_record, coded_body, gzip_member, http_message, sha1, warc_record
from records import ARC, DUPLICATES, ODD, ORDINARY, WET, Page

HERE = Path(__file__).resolve().parent
DUMP = "CC-SAMPLE-2024-10"
STARTED = datetime(2024, 3, 2, 6, 0, tzinfo=UTC)
FATES_HEADER = ("file", "record_index", "record_id", "url", "page", "fate", "why")
Texts = dict[str, str]


@dataclass(slots=True)
class Archive:
    """A file of the crawl as it is being written: gzip members, and a row of `fates.tsv` for each page."""

    name: str
    started: datetime
    members: list[bytes] = field(default_factory=list)
    fates: list[tuple[str, ...]] = field(default_factory=list)

    def now(self) -> str:
        """A time 37 seconds later with each member."""
        return (self.started + timedelta(seconds=37 * len(self.members))).strftime("%Y-%m-%dT%H:%M:%SZ")

    def add(self, kind: str, headers: Headers, block: bytes, record_id: str = "", missing_bytes: int = 0) -> str:
        """Append a WARC record; returns its id, which is made of its place and content unless it is given."""
        record_id = record_id or urn(self.name, str(len(self.members)), sha1(block))
        head = [("WARC-Type", kind), ("WARC-Record-ID", record_id), ("WARC-Date", self.now()), *headers]
        self.members.append(gzip_member(warc_record(head, block, missing_bytes)))
        return record_id

    def add_fate(self, page: Page, record_id: str) -> None:
        row = (self.name, str(len(self.fates)), record_id, page.url or "", page.kind, page.fate, page.why)
        self.fates.append(row)

    def add_warcinfo(self) -> None:
        fields = f"software: data_samples/generate.py\r\nformat: WARC File Format 1.0\r\nisPartOf: {DUMP}\r\n"
        headers = [("WARC-Filename", self.name), ("Content-Type", "application/warc-fields")]
        self.add("warcinfo", headers, f"{fields}description: Pages written for tests\r\n".encode())


def urn(*parts: str) -> str:
    return f"<{uuid.uuid5(uuid.NAMESPACE_URL, ' '.join(parts)).urn}>"


def target(page: Page) -> Headers:
    return [("WARC-Target-URI", page.url)] if page.url else []


def http_response(page: Page, texts: Texts) -> bytes:
    """Status line, headers and body, in the page's coding."""
    body, coding = coded_body(page.body(texts), page.coding)
    location = [("Location", "/new")] if page.status.startswith("301") else []
    headers = [("Server", "sample/1.0"), ("Content-Type", page.content_type), *location, *coding]
    return http_message(f"HTTP/1.1 {page.status}", headers, body)


def add_response(archive: Archive, page: Page, texts: Texts, record_id: str = "") -> str:
    """Append the page as a response, damaged if it says so; returns the record id."""
    block = http_response(page, texts)
    headers = [
        *target(page),
        ("WARC-IP-Address", "192.0.2.10"),
        ("WARC-Block-Digest", sha1(block)),
        ("Content-Type", "application/http; msgtype=response"),
    ]
    missing = 4000 if page.damage == "long" else 0
    record_id = archive.add("response", headers, block, record_id, missing)
    if page.damage == "cut":
        archive.members[-1] = archive.members[-1][: len(archive.members[-1]) // 2]
    archive.add_fate(page, record_id)
    return record_id


def add_exchange(archive: Archive, page: Page, texts: Texts) -> None:
    """Append request, response and metadata, as a real crawler does."""
    request = http_message("GET / HTTP/1.1", [("User-Agent", "sample/1.0"), ("Accept", "text/html")], b"")
    archive.add("request", [*target(page), ("Content-Type", "application/http; msgtype=request")], request)
    record_id = add_response(archive, page, texts)
    headers = [*target(page), ("WARC-Concurrent-To", record_id), ("Content-Type", "application/warc-fields")]
    archive.add("metadata", headers, b"fetchTimeMs: 137\r\ncharset-detected: UTF-8\r\n")


def ordinary_archive(texts: Texts) -> Archive:
    """The first pages with everything that a crawler writes about them, the others as responses only."""
    archive = Archive("sample-00000.warc.gz", STARTED)
    archive.add_warcinfo()
    for page in ORDINARY[:3]:
        add_exchange(archive, page, texts)
    for page in ORDINARY[3:]:
        add_response(archive, page, texts)
    return archive


def duplicates_archive(texts: Texts) -> Archive:
    archive = Archive("sample-00001.warc.gz", STARTED + timedelta(hours=1))
    archive.add_warcinfo()
    for page in DUPLICATES:
        add_response(archive, page, texts)
    profile = "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest"
    headers = [*target(ORDINARY[0]), ("WARC-Profile", profile), ("Content-Type", "application/http; msgtype=response")]
    archive.add("revisit", headers, http_message("HTTP/1.1 304 Not Modified", [("Server", "sample/1.0")], b""))
    return archive


def odd_archive(texts: Texts) -> Archive:
    archive = Archive("sample-00002.warc.gz", STARTED + timedelta(hours=2))
    archive.add_warcinfo()
    lookup = Page("", "dns:crafts.example", "extract.http_status", "dns: no HTTP message, so no status 200")
    answer = b"20240302080000\r\ncrafts.example. 300 IN A 192.0.2.10\r\n"
    archive.add_fate(lookup, archive.add("response", [*target(lookup), ("Content-Type", "text/dns")], answer))
    ids: dict[str, str] = {}
    for page in ODD:
        ids[page.text] = add_response(archive, page, texts, ids[page.record_id_of] if page.record_id_of else "")
    return archive


def wet_archive(texts: Texts) -> Archive:
    archive = Archive("sample-00003.warc.wet.gz", STARTED + timedelta(hours=3))
    archive.add_warcinfo()
    for page in WET:
        block = page.edited(texts).partition("\n\n")[2].encode()  # without the title
        headers = [*target(page), ("Content-Type", "text/plain")]
        archive.add_fate(page, archive.add("conversion", headers, block))
    return archive


def arc_archive(texts: Texts) -> Archive:
    archive = Archive("sample-00004.arc.gz", datetime(2012, 5, 1, 12, 0, tzinfo=UTC))
    version = b"1 0 SampleCrawl\nURL IP-address Archive-date Content-type Archive-length\n"
    date = archive.started.strftime("%Y%m%d%H%M%S")
    archive.members.append(gzip_member(arc_record(f"filedesc://{archive.name}", date, "text/plain", version)))
    for page in ARC:
        block = http_response(page, texts)
        archive.members.append(gzip_member(arc_record(page.url or "", date, "text/html", block)))
        archive.add_fate(page, "")
    return archive


def main(folder: Path) -> None:
    """Write `crawl/` and `fates.tsv` into `folder`."""
    texts = {path.stem: path.read_text(encoding="utf-8").strip() for path in sorted((HERE / "pages").glob("*.txt"))}
    makers = (ordinary_archive, duplicates_archive, odd_archive, wet_archive, arc_archive)
    archives = [make(texts) for make in makers]
    (folder / "crawl").mkdir(parents=True, exist_ok=True)
    for archive in archives:
        (folder / "crawl" / archive.name).write_bytes(b"".join(archive.members))
    rows = [FATES_HEADER, *(row for archive in archives for row in archive.fates)]
    table = "".join("\t".join(row) + "\n" for row in rows)
    (folder / "fates.tsv").write_text(table, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
