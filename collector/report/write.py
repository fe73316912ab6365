"""An audit as files: which there are, their names, and their bytes."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from collector.audit.phrases import Language
from collector.report.html import Letterhead, Pages, render, whole
from collector.report.issue import Made
from collector.report.settings import Form
from runtime.files import write_durably

ONE_FILE = 20
"""So many links are one document; of more, each has a file of its own beside the summary's."""
_KINDS = {
    Form.JSON: "application/json",
    Form.CSV: "application/zip",
    Form.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Form.HTML: "text/html",
    Form.PDF: "application/pdf",
}


class File(NamedTuple):
    """One file, made when it is asked for."""

    name: str
    data: Callable[[], bytes]


class Output(NamedTuple):
    """What is to be written."""

    forms: Sequence[Form]
    languages: Sequence[Language]
    head: Letterhead
    per_link: bool | None = None
    """A document for each link; None: where there are more than ONE_FILE."""


def media_type(form: Form) -> str:
    """Of a download; CSV comes as an archive of its tables."""
    return _KINDS[form]


def stem(made: Made) -> str:
    """Name without its end, such as pantau-audit-2026-10-link-l1-r2."""
    audit = made.document.audit
    scope = "" if audit.scope.value is None else f"-{audit.scope.kind}-{audit.scope.value}"
    clean = "".join(one if one.isalnum() or one in "-_." else "_" for one in scope)
    state = "draft" if made.issued is None else f"r{made.document.revision}"
    return f"pantau-audit-{audit.month}{clean}-{state}"


def documents(made: Made, per_link: bool | None) -> list[tuple[str, Pages]]:
    """(addition to the name, pages) of each document."""
    links = made.document.audit.links
    if not (len(links) > ONE_FILE if per_link is None else per_link):
        return [("", whole(made))]
    return [("", Pages(True, ())), *((f"-{one.link}", Pages(False, [one])) for one in links)]


def files(made: Made, output: Output) -> Iterator[File]:
    """All files of an audit."""
    base = stem(made)
    for form in dict.fromkeys(output.forms):
        if form is Form.JSON:
            yield File(f"{base}.json", lambda: made.data)
        elif form is Form.CSV:
            yield from _csv(made, base)
        else:
            for language in dict.fromkeys(output.languages):
                yield from _told(made, form, language, output)


def _csv(made: Made, base: str) -> Iterator[File]:
    from collector.report.tabular import csv_files

    for name, data in csv_files(made.document.audit).items():
        yield File(f"{base}-{name}.csv", lambda data=data: data)  # type: ignore[misc]


def _told(made: Made, form: Form, language: Language, output: Output) -> Iterator[File]:
    base = stem(made)
    if form is Form.XLSX:
        yield File(f"{base}.{language}.xlsx", lambda: _xlsx(made, language))
        return
    for addition, pages in documents(made, output.per_link):
        name = f"{base}{addition}.{language}.{form}"
        yield File(name, lambda pages=pages: _laid_out(made, form, pages, language, output.head))  # type: ignore[misc]


def _xlsx(made: Made, language: Language) -> bytes:
    from collector.report.tabular import xlsx

    return xlsx(made, language)


def _laid_out(made: Made, form: Form, pages: Pages, language: Language, head: Letterhead) -> bytes:
    text = render(made, pages, language, head)
    if form is Form.HTML:
        return text.encode()
    # Laying out takes a second to load, and not every command does it.
    from collector.report.pdf import pdf

    return pdf(text)


def download(
    made: Made, form: Form, language: Language, how: tuple[Letterhead, str | None]
) -> File:
    """One file of an audit; `how` is the letterhead, and the only link that is wanted.

    An audit of many links is its summary alone. Raises KeyError for a link that is not in it.
    """
    from collector.report.tabular import csv_archive

    head, link = how
    base = stem(made)
    if form is Form.JSON:
        return File(f"{base}.json", lambda: made.data)
    if form is Form.CSV:
        return File(f"{base}.zip", lambda: csv_archive(made.document.audit))
    if form is Form.XLSX:
        return File(f"{base}.{language}.xlsx", lambda: _xlsx(made, language))
    wanted = {
        addition: pages for addition, pages in documents(made, None if link is None else True)
    }
    addition = "" if link is None else f"-{link}"
    pages = wanted[addition]
    name = f"{base}{addition}.{language}.{form}"
    return File(name, lambda: _laid_out(made, form, pages, language, head))


def write(files: Iterator[File], folder: Path, told: Callable[[Path], None]) -> None:
    """Write all, each whole or not at all, and tell of each. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in files:
        file = folder / one.name
        write_durably(file, one.data())
        told(file)
