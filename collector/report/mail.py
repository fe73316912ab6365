"""Audits by mail: what is said, and the files that go with it."""

from collections.abc import Sequence
from typing import NamedTuple

from collector.audit.calendar import Zone
from collector.audit.phrases import Language
from collector.mail import Attachment, Letter
from collector.report.issue import Made, judgement
from collector.report.speech import Speech
from collector.report.write import File


class Sent(NamedTuple):
    """An audit as it goes by mail."""

    made: Made
    language: Language
    files: Sequence[File]


def letter(to: str, sent: Sent) -> Letter:
    """The letter to one address, its words in the language of `sent`."""
    audit = sent.made.document.audit
    speech = Speech(sent.language, Zone(audit.zone))
    subject = speech.say(
        "mail.subject",
        month=audit.month,
        scope=speech.say(f"scope.{audit.scope.kind}", value=audit.scope.value),
        judgement=speech.word("judgement", judgement(audit)),
    )
    attached = (Attachment(one.name, "application/octet-stream", one.data()) for one in sent.files)
    return Letter(to, subject, _text(sent, speech), tuple(attached))


def _text(sent: Sent, speech: Speech) -> str:
    audit, one = sent.made.document.audit, sent.made.document.audit.summary
    lines = [
        f"{speech.say('title')}, {speech.month(audit.month)}",
        "" if sent.made.issued is not None else speech.say("draft"),
        speech.say(
            "summary.lead",
            links=speech.whole(one.links),
            met=speech.whole(one.judgement.met),
            breached=speech.whole(one.judgement.breached),
            indeterminate=speech.whole(one.judgement.indeterminate),
        ),
        speech.say(
            "summary.money",
            rupiah=speech.rupiah(one.restitution_rupiah),
            fee=speech.rupiah(one.fee_rupiah),
            at_most=speech.rupiah(one.restitution_at_most_rupiah),
        ),
        speech.say("mail.files", files=len(sent.files), digest=sent.made.sha256),
    ]
    return "\n".join(one for one in lines if one) + "\n"
