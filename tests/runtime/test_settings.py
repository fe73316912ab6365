"""Every wrong file, and exactly what is said of it."""

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from runtime.settings import MAX_FILE_BYTES, SettingsError, load, read_yaml

TESTDATA = Path(__file__).parent / "testdata"


class Sub(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    depth: int = 0


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    interval_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    hosts: tuple[str, ...] = ()
    sub: Sub = Sub()


def test_a_good_file_is_what_it_says() -> None:
    assert load(TESTDATA / "good.yaml", Form) == Form("desa", 1.5, ("a", "b"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("unknown_key", ": Object contains unknown field `colour`"),
        ("duplicate_key", ":2:1: key 'name' is given twice"),
        ("duplicate_nested", ":3:17: key 'depth' is given twice"),
        ("alias", ":3:6: aliases are not used here: write the value out"),
        ("exploding", ":2:8: aliases are not used here: write the value out"),
        ("wrong_type", ": interval_s: Expected `float`, got `str`"),
        ("wrong_item", ": hosts[1]: Expected `str`, got `int`"),
        ("missing_field", ": Object missing required field `name`"),
        ("empty", ": empty, expected a mapping of settings"),
        ("comment", ": empty, expected a mapping of settings"),
        ("list", ": Expected `object`, got `array`"),
        ("scalar", ": Expected `object`, got `str`"),
        ("latin1", ": byte 7 is not UTF-8 text"),
        ("unclosed", ":3:1: did not find expected ',' or ']'"),
        ("tab", ":2:1: found a tab character that violates indentation"),
        ("date", ": a value that YAML cannot read: month must be in 1..12"),
        ("list_as_key", ":1:3: a key has to be a plain word"),
        (
            "python_object",
            ":1:7: could not determine a constructor for the tag"
            " 'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        ("two_documents", ":2:1: but found another document"),
        ("norway", ": name: Expected `str`, got `bool`"),
        ("deep", ":1:38: nested too deeply"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place_and_what_was_expected(name: str, said: str) -> None:
    file = TESTDATA / f"{name}.yaml"
    with pytest.raises(SettingsError) as caught:
        load(file, Form)
    assert str(caught.value) == f"{file}{said}"


def test_every_file_of_the_folder_is_in_a_test() -> None:
    text = Path(__file__).read_text()
    assert [file.stem for file in TESTDATA.iterdir() if f'"{file.stem}' not in text] == []


def test_a_file_is_bounded_before_it_is_parsed(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    file.write_bytes(b"#" * MAX_FILE_BYTES)
    assert read_yaml(file) is None
    file.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(SettingsError, match="larger than 4194304 bytes"):
        read_yaml(file)


def test_nesting_far_beyond_any_stack_is_a_settings_error(tmp_path: Path) -> None:
    file = tmp_path / "abyss.yaml"
    file.write_text("a: " + "[" * 1_000_000)
    # libyaml since 0.2.6 refuses it before we can.
    with pytest.raises(SettingsError, match=r"nested too deeply|maximum nesting depth"):
        read_yaml(file)


@pytest.mark.parametrize(
    ("name", "said"), [("gone.yaml", "No such file or directory"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_yaml(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: {said}"


def test_a_number_too_long_to_be_one_is_a_settings_error(tmp_path: Path) -> None:
    file = tmp_path / "digits.yaml"
    file.write_text("a: 1" + "0" * 5000)
    with pytest.raises(SettingsError, match="a value that YAML cannot read"):
        read_yaml(file)
