"""A grant is never a leak."""

import logging

import pytest

from tests.throughput_kit import grant


def test_a_grant_that_is_shown_keeps_its_key(caplog: pytest.LogCaptureFixture) -> None:
    one = grant(8461, key="5e" * 32)
    with caplog.at_level(logging.INFO):
        logging.getLogger("x").info("given: %s, %r, %s", one, [one], {"grant": one})
    for shown in (repr(one), str(one), f"{(one,)}", caplog.text):
        assert one.slot_id in shown
        assert "5e5e" not in shown
