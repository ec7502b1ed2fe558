from __future__ import annotations

import errno
import os
import random
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bayeshyper.files import replacing, write_atomically


def test_it_writes_and_writes_over(tmp_path: Path) -> None:
    path = tmp_path / "result.bin"
    write_atomically(path, b"old" * 1000)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["result.bin"]


def test_the_old_file_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.bin"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as raised:
        write_atomically(path, b"new")
    assert raised.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["result.bin"]


def test_the_old_file_survives_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.bin"
    path.write_bytes(b"old")

    def interrupted(source: str, destination: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["result.bin"]


def test_content_of_the_wrong_type_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.bin"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["result.bin"]


def test_a_missing_folder_is_an_os_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        write_atomically(tmp_path / "missing" / "result.bin", b"new")
    assert str(raised.value).endswith(
        f"No such file or directory: {str(tmp_path / 'missing' / 'result.bin')!r}"
    )
    assert os.listdir(tmp_path) == []


def test_a_folder_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "result.bin").mkdir()
    with pytest.raises(OSError, match="no regular file"):
        write_atomically(tmp_path / "result.bin", b"new")
    assert os.listdir(tmp_path) == ["result.bin"]


def test_a_link_stays_one_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "result.bin").write_bytes(b"old")
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "second").symlink_to(Path("far", "result.bin"))
    write_atomically(tmp_path / "first", b"new")
    assert [os.readlink(tmp_path / name) for name in ("first", "second")] == ["second", "far/result.bin"]
    assert (tmp_path / "far" / "result.bin").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["far", "first", "result.bin", "second"]


def test_a_link_that_leads_nowhere_is_refused_and_kept(tmp_path: Path) -> None:
    for name, to in (("dangling", "nothing"), ("loop", "loop")):
        (tmp_path / name).symlink_to(to)
        with pytest.raises(FileNotFoundError, match="leads to nothing"):
            write_atomically(tmp_path / name, b"new")
    assert sorted(os.listdir(tmp_path)) == ["dangling", "loop"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
def test_a_pipe_or_device_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        write_atomically(tmp_path / "pipe", b"new")
    assert (tmp_path / "pipe").is_fifo()


def test_a_file_that_cannot_take_its_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, destination: Path) -> None:
        raise PermissionError(errno.EPERM, "Not permitted", str(source), None, str(destination))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError) as raised:
        write_atomically(tmp_path / "result.bin", b"new")
    assert str(raised.value).endswith(f"Not permitted: {str(tmp_path / 'result.bin')!r}")


def test_a_bare_name_goes_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_atomically(Path("result.bin"), b"new")
    assert (tmp_path / "result.bin").read_bytes() == b"new"


FILL = """
import resource, signal, sys
from pathlib import Path
from bayeshyper.files import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))  # a write past it fails, as on a full disk
try:
    write_atomically(Path(sys.argv[1]), bytes(2**20 + 1))
except OSError as error:
    print(error.filename)
"""


@pytest.mark.skipif(os.name != "posix", reason="the limit is POSIX's")
def test_the_old_file_survives_a_write_that_stops_half_way(tmp_path: Path) -> None:
    path = tmp_path / "result.bin"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", FILL, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["result.bin"]


KILLED = """
import sys
from pathlib import Path
from bayeshyper.files import replacing
number = 0
while True:
    with replacing(Path(sys.argv[1])) as file:
        for _ in range(64):
            file.write(number.to_bytes(8, "little") * 512)
    number += 1
    print(number, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
def test_a_process_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path, chance = tmp_path / "result.bin", random.Random(0)
    for _ in range(12):
        with subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.random() / 20)
            process.kill()
        content = path.read_bytes()
        assert content == content[:8] * (64 * 512)


def test_the_file_and_its_name_are_on_the_disk_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut leaves is what was flushed: the content, then the folder that has the new name."""
    path, flushed = tmp_path / "result.bin", []

    def flush(handle: int) -> None:
        there = os.fstat(handle)
        flushed.append((stat.S_ISDIR(there.st_mode), there.st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", flush)
    write_atomically(path, b"four")
    assert flushed[0] == (False, 4, False)
    assert os.name != "posix" or (flushed[1][0], flushed[1][2]) == (True, True)


def test_a_folder_that_cannot_be_flushed_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush = os.fsync

    def refuse(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    write_atomically(tmp_path / "result.bin", b"new")
    assert (tmp_path / "result.bin").read_bytes() == b"new"


def test_the_longest_name_is_long_enough(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("ü" * 127), b"new")
    assert [len(name) for name in os.listdir(tmp_path)] == [127]


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")
def test_threads_that_write_do_not_change_the_rights_of_others(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with ThreadPoolExecutor(8) as threads:
            made = list(threads.map(lambda n: write_atomically(tmp_path / str(n), b"x"), range(400)))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert {stat.S_IMODE((tmp_path / str(n)).stat().st_mode) for n in range(len(made))} == {0o644}


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_rights_are_those_of_any_new_file(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "ours", b"")
        (tmp_path / "plain").touch()
        kept = os.umask(mask)
    finally:
        os.umask(before)
    assert kept == mask
    ours, plain = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "plain"))
    assert ours == plain


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")
@pytest.mark.parametrize("rights", [0o600, 0o640, 0o400, 0o666])
def test_who_may_read_the_new_file_could_read_the_old_one(tmp_path: Path, rights: int) -> None:
    path = tmp_path / "result.bin"
    path.write_bytes(b"old")
    path.chmod(rights)
    with replacing(path) as file:
        while_written = [stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()]
        file.write(b"new")
    assert while_written == [rights, rights]
    assert stat.S_IMODE(path.stat().st_mode) == rights
    assert path.read_bytes() == b"new"
