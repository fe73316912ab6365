"""The documents: both languages whole, nothing computed in templates, files for others to open."""

import csv
import io
import re
import shutil
import subprocess
import zipfile
from datetime import UTC
from enum import StrEnum
from pathlib import Path
from string import Formatter
from xml.etree import ElementTree

import msgspec
import openpyxl
import pytest

from collector.audit.availability import Judgement
from collector.audit.calendar import Zone
from collector.audit.daily import Direction
from collector.audit.findings import Finding, Standing
from collector.audit.phrases import Language
from collector.audit.states import Cause, Charge, EvidenceClass, State
from collector.audit.why import Clause, clause, sentence
from collector.inventory import NodeKind, Reach
from collector.ledger.audits import Issued
from collector.maintenance import Kind, Refusal
from collector.report import sentences
from collector.report.document import canonical, digest, document
from collector.report.html import Letterhead, Pages, letterhead, render, whole
from collector.report.issue import Made
from collector.report.pdf import pdf
from collector.report.phrases import PHRASES
from collector.report.plots import calendar, hours, smoke, timeline, trend
from collector.report.reconcile import Sort
from collector.report.record import Audit
from collector.report.settings import LetterheadSettings, Signer
from collector.report.sheets import sheets
from collector.report.speech import Speech
from collector.report.tabular import csv_archive, csv_files, xlsx
from collector.restitution import Rounding, Rule
from tests.collector.report.scene import NOW_S

TEMPLATES = Path(sentences.__file__).with_name("templates")
SOURCES = [*TEMPLATES.parent.rglob("*.py"), *TEMPLATES.glob("*.html")]
HEAD = Letterhead(
    LetterheadSettings(
        government="Pemerintah Kabupaten <Contoh>",
        office="Dinas Komunikasi dan Informatika",
        address="Jl. Merdeka 1",
        place="Contoh",
        made_by=Signer(name="Sari Dewi", title="Kepala Seksi", number="19800101 200501 2 001"),
    )
)
SETS: dict[str, type[StrEnum]] = {
    "judgement": Judgement,
    "state": State,
    "cause": Cause,
    "charge": Charge,
    "witness": EvidenceClass,
    "notice": Kind,
    "refusal": Refusal,
    "direction": Direction,
    "reach": Reach,
    "kind": NodeKind,
    "sort": Sort,
    "rounding": Rounding,
    "rule": Rule,
    "finding": Finding,
    "standing": Standing,
}


@pytest.fixture(scope="session")
def made(audit: Audit) -> Made:
    what = document(audit, 1, None, None)
    data = canonical(what)
    issued = Issued(
        1, "2026-06", "all", 1, NOW_S, "Sari", digest(data), what.audit_sha256, "breached"
    )
    return Made(what, data, issued)


# --- both languages -----------------------------------------------------------------------


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_every_sentence_is_there_in_both_languages_with_the_same_places() -> None:
    for key, (indonesian, english) in PHRASES.items():
        assert indonesian.strip() and english.strip(), key
        assert places(indonesian) == places(english), key


@pytest.mark.parametrize("kind", SETS)
def test_every_member_of_a_closed_set_has_words(kind: str) -> None:
    assert {f"{kind}.{one.value}" for one in SETS[kind]} <= set(PHRASES)


def test_every_reason_has_an_indonesian_sentence_with_the_same_facts() -> None:
    assert set(sentences.INDONESIAN) == set(Clause)
    for key, text in sentences.INDONESIAN.items():
        assert places(text) == places(key.value), key
        facts = {name: 1 if name.endswith(("_at", "_s")) else "x" for name in places(key.value)}
        why = clause(key, **facts)
        assert all(Speech(one, Zone.WIB).why(why) for one in Language)
    why = clause(Clause.PEERS_DOWN, members=4, observed=5)
    assert sentences.sentence(why, Language.EN, UTC) == sentence(why)


def test_every_key_that_is_said_exists_and_every_one_that_exists_is_said() -> None:
    text = "\n".join(one.read_text() for one in SOURCES if one.name not in ("phrases.py",))
    said = set(re.findall(r"""say\(\s*['"]([\w.]+)['"]\s*[,)]""", text))
    assert said <= set(PHRASES), sorted(said - set(PHRASES))
    quoted = set(re.findall(r"""['"]([\w.]+)['"]""", text))
    built = (*SETS, "tiphon", "name", "sheet", "column", "scope", "clause", "test", "method")
    unsaid = {
        key
        for key in PHRASES
        if key not in quoted and not key.startswith(tuple(f"{b}." for b in built))
    }
    assert unsaid == set()


@pytest.mark.parametrize("language", Language)
def test_every_column_and_table_has_a_head(audit: Audit, language: Language) -> None:
    speech = Speech(language, Zone.WIB)
    for sheet in sheets(audit):
        assert speech.say(f"sheet.{sheet.name}")
        assert all(speech.say(f"column.{name}") for name in sheet.columns)
        assert all(len(row) == len(sheet.columns) for row in sheet.rows)


def test_numbers_are_written_as_the_language_writes_them() -> None:
    indonesian, english = Speech(Language.ID, Zone.WITA), Speech(Language.EN, Zone.WIB)
    assert indonesian.rupiah(12_500_000) == "Rp12.500.000"
    assert english.rupiah(12_500_000) == "Rp12,500,000"
    assert indonesian.cents("125000/9") == "Rp13.888,88"
    # Cut and never rounded up to a target.
    assert indonesian.percent(0.9949999999) == "99,4999 %"
    assert (indonesian.length(9_005), english.length(-90)) == ("2 jam 30 mnt 5 dtk", "−1 min 30 s")
    assert indonesian.moment(NOW_S) == "10-07-2026 20:00:00"
    assert indonesian.month("2026-06") == "Juni 2026"
    assert english.percent(None) == "–"
    formula = "fee_rupiah * max(0, down_s - (1 - target) * period_s) / month_s"
    assert english.formula(formula) == (
        "fee of a month × max(0, charged seconds − (1 − target) × seconds under the contract)"
        " ÷ seconds of the month"
    )


# --- templates and plots ------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(TEMPLATES.glob("*.html")), ids=lambda one: str(one.name))
def test_no_number_is_computed_in_a_template(file: Path) -> None:
    for code in re.findall(r"\{[{%](.*?)[%}]\}", file.read_text(), re.DOTALL):
        bare = re.sub(r"'[^']*'", "''", code).replace("-%", "").strip("-+")
        assert not re.search(r"[\w)\]]\s*(\+|-|\*|//?|%)\s*[\w(\[]", bare), code
        assert not re.search(r"\|\s*(sum|round|int|float|max|min|abs)\b", bare), code


@pytest.mark.parametrize("language", Language)
def test_plots_are_well_formed_and_within_their_frame(audit: Audit, language: Language) -> None:
    speech = Speech(language, Zone.WIB)
    drawn = [trend.trend(audit.summary.trend, speech)]
    for link in audit.links:
        (period,) = link.periods
        drawn += [
            one(period, speech) for one in (calendar.calendar, timeline.timeline, smoke.smoke)
        ]
        drawn += [hours.hours(one, speech) for one in period.throughput]
    for svg in drawn:
        root = ElementTree.fromstring(svg)
        _, _, width, height = (float(one) for one in root.attrib["viewBox"].split())
        for box in root.iter("{http://www.w3.org/2000/svg}rect"):
            x, y, w, h = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
            assert -0.1 <= x <= x + w <= width + 2 and -0.1 <= y <= y + h <= height, box.attrib


def test_the_calendar_colours_what_was_down(audit: Audit) -> None:
    (period,) = audit.links[0].periods
    svg = calendar.calendar(period, Speech(Language.ID, Zone.WIB))
    assert "03-06-2026 09:00:00: Dibebankan 1 jam" in svg
    assert svg.count("#b3261e") == 7  # six hours with a charged outage, and the legend


def test_a_month_without_a_reply_is_drawn_too(audit: Audit) -> None:
    (period,) = audit.links[0].periods
    lost = tuple(
        msgspec.structs.replace(
            one, lost=60, p05_us=None, p25_us=None, p50_us=None, p75_us=None, p95_us=None
        )
        for one in period.smoke
    )
    svg = smoke.smoke(msgspec.structs.replace(period, smoke=lost), Speech(Language.EN, Zone.WIB))
    assert ElementTree.fromstring(svg) is not None and svg.count("<circle") == len(lost)


def test_what_people_typed_is_escaped(made: Made) -> None:
    page = render(made, whole(made), Language.ID, HEAD)
    assert "PT Serat &amp; Kabel" in page and "PT Serat & Kabel" not in page
    assert "Kabupaten &lt;Contoh&gt;" in page
    assert page.count("<svg") == 1 + 3 * 3 + 2


def test_a_link_in_another_zone_is_told_by_its_own_clock(made: Made, audit: Audit) -> None:
    link = audit.links[0]
    (part,) = link.periods
    east = msgspec.structs.replace(part, terms=part.terms | {"zone": "WIT"})
    moved = msgspec.structs.replace(link, periods=(east,))
    page = render(made, Pages(False, [moved]), Language.ID, HEAD)
    assert "03-06-2026 11:00:00" in page and "(WIT)" in page
    assert "03-06-2026 09:00:00" not in page


def test_a_draft_says_so_and_a_revision_lists_its_changes(made: Made, audit: Audit) -> None:
    draft = made._replace(issued=None)
    assert "RANCANGAN" in render(draft, whole(draft), Language.ID, HEAD)
    other = msgspec.structs.replace(audit, software="0.0.9")
    doc = document(audit, 2, canonical(document(other, 1, None, None)), "f" * 64)
    page = render(Made(doc, canonical(doc), made.issued), whole(made), Language.EN, HEAD)
    assert "Changes from the former revision" in page
    assert '<td class="mono">&#34;0.0.9&#34;</td>' in page


def test_a_logo_is_part_of_the_document(made: Made, tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    head = letterhead(LetterheadSettings(logo_file="logo.svg"), tmp_path)
    assert 'src="data:image/svg+xml;base64,' in render(made, whole(made), Language.ID, head)
    (tmp_path / "large.png").write_bytes(b"x" * 1_000_001)
    with pytest.raises(ValueError, match="1000000 at most"):
        letterhead(LetterheadSettings(logo_file="large.png"), tmp_path)


# --- PDF ----------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs poppler-utils")
def test_the_pdf_holds_the_text_on_numbered_a4_pages(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "audit.pdf"
    file.write_bytes(pdf(render(made, whole(made), Language.ID, HEAD)))

    def told(*words: str) -> str:
        return subprocess.run([*words], check=True, capture_output=True, text=True).stdout

    info = told("pdfinfo", str(file))
    pages = int(re.findall(r"Pages:\s+(\d+)", info)[0])
    assert "(A4)" in info and 8 <= pages <= 25
    text = [told("pdftotext", "-layout", "-f", str(k), "-l", str(k), str(file), "-")
            for k in range(1, pages + 1)]  # fmt: skip
    for number, page in enumerate(text, 1):
        assert f"Halaman {number} dari {pages}" in page
        assert made.sha256[:16] in page
    first = text[0]
    for words in ("DINAS KOMUNIKASI DAN INFORMATIKA", "LAPORAN AUDIT LAYANAN JARINGAN",
                  "Bulan Juni 2026", "1 melanggar", "Rp76.391"):  # fmt: skip
        assert words in first, first
    every = " ".join(told("pdftotext", str(file), "-").split())
    for words in ("Sari Dewi", "NIP 19800101 200501 2 001", "TIDAK DEDICATED", "Rp72.919",
                  "biaya sebulan × detik dibebankan ÷ (detik sebulan × target)",
                  "CPE menjawab di LAN dalam", "paket uji ke CPE"):  # fmt: skip
        assert words in every, words


# --- XLSX and CSV -------------------------------------------------------------------------


@pytest.mark.parametrize("language", Language)
def test_another_library_opens_the_workbook(made: Made, language: Language) -> None:
    book = openpyxl.load_workbook(io.BytesIO(xlsx(made, language)))
    speech = Speech(language, Zone.WIB)
    tables = sheets(made.document.audit)
    assert book.sheetnames == [speech.say("sheet.summary")] + [
        speech.say(f"sheet.{one.name}") for one in tables
    ]
    for table in tables:
        page = book[speech.say(f"sheet.{table.name}")]
        rows = list(page.iter_rows(values_only=True))
        assert rows[0] == tuple(speech.say(f"column.{name}") for name in table.columns)
        assert len(rows) == 1 + len(table.rows)
    links = book[speech.say("sheet.links")]
    names = [one.value for one in links[1]]
    row = dict(zip(names, (one.value for one in links[2]), strict=True))
    assert row[speech.say("column.link")] == "utara"
    assert row[speech.say("column.down_s")] == 15_045
    assert row[speech.say("column.rupiah")] == 72_919
    assert row[speech.say("column.judgement")] == speech.say("judgement.breached")
    start = row[speech.say("column.start_s")]
    assert str(start) == "2026-06-01 00:00:00"
    first = book.worksheets[0]
    assert 72_919 + 3_472 in [one.value for one in first["B"]]


def test_a_providers_text_is_no_formula(made: Made, audit: Audit) -> None:
    link = audit.links[0]
    evil = msgspec.structs.replace(link, name="=cmd|' /C calc'!A0", provider="http://x.example")
    changed = msgspec.structs.replace(audit, links=(evil,))
    table = list(csv.DictReader(io.StringIO(csv_files(changed)["links"].decode())))
    assert table[0]["name"] == "'=cmd|' /C calc'!A0"
    doc = msgspec.structs.replace(made.document, audit=changed)
    book = openpyxl.load_workbook(io.BytesIO(xlsx(made._replace(document=doc), Language.ID)))
    cell = book["Tautan"]["B2"]
    assert (cell.value, cell.data_type) == ("=cmd|' /C calc'!A0", "s")
    assert book["Tautan"]["F2"].hyperlink is None


def test_the_archive_of_tables_is_the_same_bytes_again(audit: Audit) -> None:
    data = csv_archive(audit)
    assert data == csv_archive(audit)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert "links.csv" in archive.namelist()
