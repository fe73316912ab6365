"""The audit's tables as files: XLSX in a language, and CSV for programs."""

import csv
import io
import zipfile
from datetime import datetime, timedelta

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from collector.audit.calendar import Zone
from collector.audit.phrases import Language
from collector.report.issue import Made
from collector.report.record import Audit
from collector.report.sheets import Cell, Sheet, sheets
from collector.report.speech import Speech

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a spreadsheet's times have no zone
_MOMENTS = frozenset(
    {
        "start_s", "start_low_s", "start_high_s", "end_s", "end_low_s", "end_high_s",
        "ticket_start_s", "ticket_end_s",
    }
)  # fmt: skip
_SHARES = frozenset(
    {
        "target", "lower", "point", "upper", "coverage", "violated_ratio",
        "severely_violated_ratio", "loss_ratio", "loss_limit", "attainment_p05", "attainment_p50",
        "share_kept", "p10", "p25", "p50", "p75", "p90",
    }
)  # fmt: skip
_WORDS = {
    "judgement": "judgement",
    "availability": "judgement",
    "rtt_judgement": "judgement",
    "jitter_judgement": "judgement",
    "loss_judgement": "judgement",
    "state": "state",
    "cause": "cause",
    "charge": "charge",
    "direction": "direction",
    "reach": "reach",
    "rounding": "rounding",
    "dedicated_down": "finding",
    "dedicated_up": "finding",
}
"""Columns whose cells are members of closed sets, and of which."""
_KINDS = {"links": "kind", "tickets": "sort"}
"""The column `kind` is of another set in each table."""
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so is a formula to a spreadsheet that opens the CSV."""


def csv_files(audit: Audit) -> dict[str, bytes]:
    """One file for each table, by the table's name: UTF-8, commas, field names on top."""
    return {one.name: _csv(one) for one in sheets(audit)}


def csv_archive(audit: Audit) -> bytes:
    """All of them in one ZIP file, the same bytes for the same audit."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in csv_files(audit).items():
            archive.writestr(zipfile.ZipInfo(f"{name}.csv"), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _csv(sheet: Sheet) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(sheet.columns)
    writer.writerows([_plain(one) for one in row] for row in sheet.rows)
    return text.getvalue().encode()


def _plain(cell: Cell) -> Cell:
    if isinstance(cell, bool):
        return str(cell).lower()
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_DANGEROUS) else cell


class _Forms:
    """How cells look."""

    def __init__(self, book: Workbook, language: Language) -> None:
        self.head: Format = book.add_format({"bold": True, "bg_color": "#EEF1F4", "border": 1})
        self.title: Format = book.add_format({"bold": True, "font_size": 14})
        moment = "dd-mm-yyyy hh:mm:ss" if language is Language.ID else "yyyy-mm-dd hh:mm:ss"
        self.moment: Format = book.add_format({"num_format": moment})
        self.share: Format = book.add_format({"num_format": "0.0000%"})
        self.rupiah: Format = book.add_format({"num_format": '"Rp"#,##0'})


def xlsx(made: Made, language: Language) -> bytes:
    """The workbook: a first page, then every table."""
    audit, packed = made.document.audit, io.BytesIO()
    speech = Speech(language, Zone(audit.zone))
    # Text is text: nothing that a provider typed may become a formula or a link.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(packed, options)
    forms = _Forms(book, language)
    _first(book.add_worksheet(speech.say("sheet.summary")), made, speech, forms)
    for one in sheets(audit):
        _table(book.add_worksheet(speech.say(f"sheet.{one.name}")), one, speech, forms)
    book.close()
    return packed.getvalue()


def _first(page: Worksheet, made: Made, speech: Speech, forms: _Forms) -> None:
    audit, one = made.document.audit, made.document.audit.summary
    page.write_string(0, 0, speech.say("title"), forms.title)
    scope = speech.say(f"scope.{audit.scope.kind}", value=audit.scope.value)
    issued = made.issued
    rows: list[tuple[str, Cell, Format | None]] = [
        (speech.say("month"), speech.month(audit.month), None),
        (speech.say("scope"), scope, None),
        (speech.say("status"), speech.say("draft.mark") if issued is None else "", None),
        (speech.say("zone"), audit.zone, None),
        (speech.say("links"), one.links, None),
        (speech.say("judgement.met"), one.judgement.met, None),
        (speech.say("judgement.breached"), one.judgement.breached, None),
        (speech.say("judgement.indeterminate"), one.judgement.indeterminate, None),
        (speech.say("fee"), one.fee_rupiah, forms.rupiah),
        (speech.say("restitution"), one.restitution_rupiah, forms.rupiah),
        (speech.say("restitution.at_most"), one.restitution_at_most_rupiah, forms.rupiah),
        (speech.say("software"), f"Pantau {audit.software}", None),
        (speech.say("digest.document"), made.sha256, None),
        (speech.say("digest.audit"), made.document.audit_sha256, None),
    ]
    if issued is not None:
        said = speech.say(
            "issued",
            when=speech.day_at(issued.issued_s),
            by=issued.issued_by,
            revision=speech.whole(issued.revision),
        )
        rows[2] = (rows[2][0], said, None)
    for at, (name, value, form) in enumerate(rows, 2):
        page.write_string(at, 0, name, forms.head)
        page.write(at, 1, value, form)
    page.set_column(0, 0, 34)
    page.set_column(1, 1, 70)


def _table(page: Worksheet, sheet: Sheet, speech: Speech, forms: _Forms) -> None:
    for column, name in enumerate(sheet.columns):
        page.write_string(0, column, speech.say(f"column.{name}"), forms.head)
        page.set_column(column, column, _width(sheet, column))
    for row, cells in enumerate(sheet.rows, 1):
        for column, cell in enumerate(cells):
            name = sheet.columns[column]
            if isinstance(cell, str):
                page.write_string(row, column, _said(sheet.name, name, cell, speech))
            else:
                _cell(page, (row, column), name, cell, (speech, forms))
    page.freeze_panes(1, 1)
    if sheet.rows:
        page.autofilter(0, 0, len(sheet.rows), len(sheet.columns) - 1)


def _width(sheet: Sheet, column: int) -> float:
    if sheet.columns[column] in _MOMENTS:
        return 19
    longest = max((len(str(row[column])) for row in sheet.rows), default=0)
    return min(40, max(10, longest + 1))


def _said(sheet: str, name: str, cell: str, speech: Speech) -> str:
    """Codes in the language's words; what people wrote stays as it is."""
    kind = _KINDS.get(sheet) if name == "kind" else _WORDS.get(name)
    if kind is not None:
        return speech.word(kind, cell)
    if name == "why":
        return speech.why(cell)
    if name == "witnesses":
        return ", ".join(speech.word("witness", one) for one in cell.split())
    return cell


def _cell(
    page: Worksheet, at: tuple[int, int], name: str, cell: Cell, how: tuple[Speech, _Forms]
) -> None:
    speech, forms = how
    if cell is None or isinstance(cell, str):
        return
    if isinstance(cell, bool):
        page.write_string(*at, speech.say("yes" if cell else "no"))
    elif name in _MOMENTS:
        page.write_datetime(*at, local(cell, speech.zone), forms.moment)
    elif name in _SHARES:
        page.write_number(*at, cell, forms.share)
    else:
        page.write_number(*at, cell, forms.rupiah if name.endswith("rupiah") else None)


def local(at_s: float, zone: Zone) -> datetime:
    """A moment by the contracts' clock, to the millisecond, without its zone."""
    return _EPOCH + timedelta(milliseconds=round((at_s + zone.offset_s) * 1000))
