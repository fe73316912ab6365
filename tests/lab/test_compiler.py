"""The C program is compiled once, and a missing compiler is said plainly."""

import shutil
from pathlib import Path

import pytest

from runtime.lab import compiler


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiler.emulink.cache_clear()


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(compiler.CompileError, match="gcc"):
        compiler.emulink()


@pytest.mark.skipif(compiler.compiler() is None, reason="no C compiler")
def test_a_second_use_takes_what_the_first_one_made(tmp_path: Path) -> None:
    first = compiler.emulink()
    made = first.stat().st_mtime_ns
    compiler.emulink.cache_clear()
    assert compiler.emulink() == first
    assert first.stat().st_mtime_ns == made
    assert list((tmp_path / "pantau").iterdir()) == [first]


@pytest.mark.skipif(compiler.compiler() is None, reason="no C compiler")
def test_a_program_that_does_not_compile_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.c"
    broken.write_text("int main(void) { return nothing; }\n")
    monkeypatch.setattr(compiler, "_SOURCE", broken)
    with pytest.raises(compiler.CompileError, match="nothing"):
        compiler.emulink()
    assert list((tmp_path / "pantau").iterdir()) == []
