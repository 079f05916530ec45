"""Frames, checked messages and proofs of the model host's protocol; its place on disk. No model, no process."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.engine import host_place
from aix_lsp.engine.host_place import HostUnavailable, Place, key_of, place_of
from aix_lsp.engine.host_protocol import (
    MOST_BYTES,
    ProtocolError,
    Run,
    Unpacker,
    model_of,
    model_to_message,
    pack,
    proof,
    proves,
    rounded,
    run_of,
    scores_of,
)
from aix_lsp.settings import ModelSettings
from aix_lsp.types import Calibration, ModelInfo, PromptLimits

messages = st.fixed_dictionaries(
    {"op": st.text()}, optional={"text": st.text(), "ids": st.lists(st.integers(0, 2**40)), "inner": st.none()}
)


@given(st.lists(messages, max_size=5), st.integers(1, 50))
def test_messages_come_back_whole_however_the_stream_is_cut(sent: list[dict[str, Any]], size: int) -> None:
    stream = b"".join(pack(message) for message in sent)
    unpacker = Unpacker()
    came = [message for at in range(0, len(stream), size) for message in unpacker.feed(stream[at : at + size])]
    assert came == sent


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_waits_for_more(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        for message in Unpacker().feed(data):
            assert isinstance(message["op"], str)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"op": 1}', b"\xff\xfe", b"[" * 100_000, b'{"op": "' + b"1" * 5000])
def test_a_frame_that_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Unpacker().feed(len(body).to_bytes(4, "big") + body))


def test_a_frame_that_is_too_long_is_refused_before_it_comes() -> None:
    with pytest.raises(ProtocolError, match="too long"):
        list(Unpacker().feed((MOST_BYTES + 1).to_bytes(4, "big")))
    with pytest.raises(ProtocolError, match="too long"):
        pack({"op": "x" * MOST_BYTES})


ids = st.lists(st.integers(0, 2**31 - 1), max_size=20).map(tuple)
runs = st.builds(
    Run,
    id=st.integers(0, 2**53),
    epoch=st.integers(0, 100),
    ids=ids,
    limit=st.integers(1, 5000),
    required=st.text(max_size=20),
    temperature=st.floats(0, 2),
    top_p=st.floats(0, 1, exclude_min=True),
    seed=st.none() | st.integers(0, 2**63),
    time_limit=st.none() | st.floats(0, 100),
    document=st.text(max_size=20),
    background=st.booleans(),
    elsewhere=st.lists(ids, max_size=3).map(tuple),
)


@given(runs)
def test_a_request_comes_back_as_it_was(run: Run) -> None:
    assert run_of(json.loads(json.dumps(run.to_message()))) == run
    several = Run(**{**asdict(run), "count": 3, "first": run.ids})
    assert run_of(json.loads(json.dumps(several.to_message()))) == several


@pytest.mark.parametrize(
    "change",
    [
        {"id": -1},
        {"id": True},
        {"id": None},
        {"ids": "abc"},
        {"ids": [1, "2"]},
        {"ids": [True]},
        {"ids": [-1]},
        {"limit": 0},
        {"limit": 1.5},
        {"temperature": float("nan")},
        {"temperature": "hot"},
        {"top_p": 2},
        {"top_p": 0},
        {"seed": "x"},
        {"time_limit": -1},
        {"document": 3},
        {"required": ["x"]},
        {"elsewhere": [1]},
        {"elsewhere": [["x"]]},
        {"count": 99},
        {"count": 2, "first": None},
    ],
    ids=str,
)
def test_a_request_with_anything_wrong_is_refused_in_one_line(change: dict[str, Any]) -> None:
    good = json.loads(json.dumps(Run(1, 1, (1, 2), 5).to_message()))
    assert run_of(good)
    with pytest.raises(ProtocolError) as caught:
        run_of({**good, **change})
    assert "\n" not in str(caught.value)


def test_a_model_comes_back_and_another_shape_of_it_is_refused(tmp_path: Path) -> None:
    calibration = Calibration(-1.0, 0.5, 0.25, -0.5, -0.3, 0.25)
    info = ModelInfo("m", 512, "spm", parameters=3, languages=("python",), note="n", calibration=calibration)
    info = replace(info, limits=(PromptLimits("psm", 400, 40), PromptLimits("spm", 900, 225)))
    message = json.loads(json.dumps(model_to_message(info, tmp_path)))
    assert model_of(message) == (info, tmp_path)
    assert model_of({**message, "new in a later version": 1}) == (info, tmp_path)
    assert model_of({name: value for name, value in message.items() if name != "limits"})[0].limits == ()
    wrong = (
        {"limits": 3},
        {"limits": {"psm": {"tokens": 3}}},
        {"calibration": {"base": 1}},
        {"calibration": {**message["calibration"], "threshold": 2}},
    )
    for change in ({"format": "xyz"}, {"max_positions": "many"}, {"languages": 3}, {"folder": None}, *wrong):
        with pytest.raises(ProtocolError):
            model_of({**message, **change})


@given(st.lists(st.floats()))
def test_scores_travel_as_numbers_that_json_has(scores: list[float]) -> None:
    message = json.loads(json.dumps({"scores": rounded(scores)}, allow_nan=False))
    back = scores_of(message, len(scores))
    assert len(back) == len(scores)
    for ours, theirs in zip(back, scores, strict=True):
        if -1000 <= theirs <= 0:
            assert ours == pytest.approx(theirs, abs=1e-4)
    assert scores_of(message, len(scores) + 1) == []


@pytest.mark.parametrize("found", [["a"], [0.5], [None], [True], 3])
def test_scores_that_are_none_are_refused(found: object) -> None:
    with pytest.raises(ProtocolError):
        scores_of({"scores": found}, 1)


def test_a_proof_is_of_one_side_one_nonce_and_one_token() -> None:
    good = proof("token", "nonce", "window")
    assert proves(good, "token", "nonce", "window")
    for other in (("token", "nonce", "host"), ("token", "other", "window"), ("other", "nonce", "window")):
        assert not proves(good, *other)
    for nonsense in (None, 3, "", "é"):
        assert not proves(nonsense, "token", "nonce", "window")


def test_the_key_is_of_what_decides_the_model_and_of_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ModelSettings(name="aixcoder-7b")
    same = ModelSettings(name="aixcoder-7b", threads=3, share="on", idle_minutes=1, share_linger_s=0, load_wait_s=1)
    assert key_of(settings) == key_of(same)
    for other in ({"name": "aix-mini"}, {"quantization": "int8"}, {"device": "cpu"}, {"adapter": str(tmp_path)}):
        assert key_of(settings.model_copy(update=other)) != key_of(settings)
    monkeypatch.chdir(tmp_path)
    assert key_of(ModelSettings(name="./m")) == key_of(ModelSettings(name=str(tmp_path / "m")))
    before = key_of(settings)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert key_of(settings) != before


def test_only_the_user_can_enter_and_read(tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir(mode=0o755)
    place = Place(folder, "k")
    place.prepare()
    with place.listen("secret"):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, place.socket_file, place.token_file)}
        assert modes == {"place": 0o700, "k.sock": 0o600, "k.token": 0o600}
        assert place.is_open("secret")
        assert not place.is_open("another")
        place.socket_file.unlink()
        assert not place.is_open("secret")
    place.leave()
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_not_ours_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(HostUnavailable):
            Place(tmp_path / name, "k").prepare()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(HostUnavailable, match="belongs to somebody else"):
        Place(tmp_path / "target", "k").prepare()


def test_one_host_per_place_until_its_process_is_gone(tmp_path: Path) -> None:
    place = Place(tmp_path, "k")
    lock = place.lock()
    assert lock is not None
    assert place.lock() is None
    os.close(lock)  # what the end of a process does
    again = place.lock()
    assert again is not None
    os.close(again)


def test_a_host_whose_lock_was_tidied_away_takes_a_new_one_unless_another_host_has_it(tmp_path: Path) -> None:
    place = Place(tmp_path, "k")
    lock = place.lock()
    assert lock is not None
    assert place.regain(lock) == lock
    place.lock_file.unlink()
    other = place.lock()
    assert other is not None
    assert place.regain(lock) is None
    os.close(other)
    again = place.regain(lock)
    assert again is not None
    assert place.lock() is None
    os.close(again)
    os.close(lock)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners of that kind")
def test_somebody_elses_runtime_folder_is_left_alone(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `su` hands it on."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_folder / "run"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(short_folder / "cache"))
    (short_folder / "run").mkdir()
    nobody = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: nobody)
    assert place_of(ModelSettings()).folder == short_folder / "cache" / "aix-lsp" / "host"


def test_a_long_path_is_met_in_a_short_folder(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_folder))
    settings = ModelSettings()
    assert place_of(settings).folder == short_folder / "aix-lsp"
    long = short_folder / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    place = place_of(settings)
    assert len(str(place.socket_file)) <= 100
    assert str(os.getuid()) in place.folder.name
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(short_folder))
    assert place_of(settings).folder == short_folder / "aix-lsp" / "host"
    monkeypatch.setattr(host_place, "HAS_UNIX_SOCKETS", False)
    assert place_of(settings).key == place.key
