"""A document as PDF, laid out by WeasyPrint from the HTML file: A4, page numbers, one language."""

import weasyprint
from weasyprint.urls import URLFetcher


def pdf(html: str) -> bytes:
    """The pages of a rendered document. It needs nothing from outside, so nothing is fetched."""
    fetcher = URLFetcher(allowed_protocols=("data",))
    data: bytes = weasyprint.HTML(string=html, url_fetcher=fetcher).write_pdf()
    return data
