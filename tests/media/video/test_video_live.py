import json
import socket
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from video_clips import Recipe, frames_of, make_clip, number_of

from mrpose_cli.cli import app
from mrpose_cli.errors import InputError
from mrpose_cli.media.video.clip import Window
from mrpose_cli.media.video.live import LiveClip, is_live
from mrpose_cli.media.video.reader import Clip

RATE = 50
COUNT = 100


class Station:
    """A web server that sends a transport stream at its own pace, and breaks off when told to."""

    def __init__(self, data: bytes, seconds: float) -> None:
        self.connections = 0
        self.breaks_after = [1.0]  # share of the stream that each connection gets; the last goes for all
        self.open = True
        self.most = 100  # connections that are let in
        station = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not station.open or station.connections >= station.most:
                    self.send_error(503)
                    return
                share = station.breaks_after[min(station.connections, len(station.breaks_after) - 1)]
                station.connections += 1
                self.send_response(200)
                self.send_header("Content-Type", "video/mp2t")
                self.end_headers()
                rest = data[: int(len(data) * share)]
                step = max(len(data) // 100, 1)
                try:
                    while rest and station.open:
                        self.wfile.write(rest[:step])
                        rest = rest[step:]
                        time.sleep(seconds / 100)
                except OSError:
                    pass

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.link = f"http://127.0.0.1:{self._server.server_port}/live"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.open = False
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    times = [Fraction(i, RATE) for i in range(COUNT)]
    options = {"preset": "veryfast", "tune": "zerolatency"}
    recipe = Recipe(times=times, rate=Fraction(RATE), gop=5, options=options, size=(128, 96))
    path = make_clip(tmp_path / "live.ts", recipe, container="mpegts")
    running = Station(path.read_bytes(), COUNT / RATE)
    yield running
    running.close()


def test_a_stream_of_unknown_length_is_live(station: Station) -> None:
    clip = Clip(station.link, "live")
    assert clip.info.duration is None
    clip.close()


def test_old_frames_are_dropped_for_new_ones(station: Station) -> None:
    clip = LiveClip(station.link, "live", patience=0)
    shown, times = [], []
    begin = time.monotonic()
    for frame in clip.frames():
        shown.append(number_of(frame.image))
        times.append(frame.timestamp)
        time.sleep(0.1)  # whoever works on it is five times too slow
    seconds = time.monotonic() - begin
    clip.close()
    assert shown == sorted(shown)
    assert 8 <= len(shown) <= 40
    assert clip.dropped >= COUNT - len(shown) - 10
    assert seconds < 4  # the stream's own two, and a little
    assert (np.diff(times) > 0).all()
    # Times are the stream's, not those of the work.
    for number, moment in zip(shown, times, strict=True):
        assert moment - times[0] == pytest.approx((number - shown[0]) / RATE, abs=0.05)


def test_a_broken_stream_is_taken_up_again(station: Station) -> None:
    station.breaks_after = [0.4, 1.0]
    clip = LiveClip(station.link, "live", patience=5)
    stop = threading.Event()
    frames = []
    for frame in clip.frames(stop):
        frames.append((number_of(frame.image), frame.timestamp))
        if clip.reconnects and frames[-1][0] > 80:
            stop.set()
    clip.close()
    assert station.connections == 2
    assert clip.reconnects == 1
    numbers = [number for number, _ in frames]
    fall = next(i for i in range(1, len(numbers)) if numbers[i] < numbers[i - 1])
    assert numbers[:fall] == sorted(numbers[:fall])
    assert numbers[fall:] == sorted(numbers[fall:])
    times = [moment for _, moment in frames]
    assert (np.diff(times) > 0).all()
    assert 0.3 < times[fall] - times[fall - 1] < 3  # the pause before the new connection


def test_a_stream_that_does_not_come_back_ends_with_a_reason(station: Station) -> None:
    station.breaks_after = [0.3]
    clip = LiveClip(station.link, "live", patience=1.2)
    frames = clip.frames()
    next(frames)
    station.open = False
    assert len(list(frames)) < COUNT
    assert "did not come back within 1.2 s" in clip.cut_off
    clip.close()


def test_a_part_of_a_stream(station: Station) -> None:
    clip = LiveClip(station.link, "live", Window(Fraction(1, 5), Fraction(1), 2))
    frames = list(clip.frames())
    clip.close()
    assert all(0.2 <= frame.timestamp < 1 and frame.index % 2 == 0 for frame in frames)
    assert len(frames) >= 3
    assert clip.cut_off == ""


def test_what_is_not_there_is_an_error_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(InputError, match="cannot be opened"):
        LiveClip(f"tcp://127.0.0.1:{port}", "live", timeout=2)
    with pytest.raises(InputError, match="no such camera"):
        LiveClip(97, "camera97")


@pytest.mark.downloads
def test_the_command_takes_streams(station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--whole-image", "--reconnect", "0", "-o", "out", "--jsonl", "--track"]
    result = CliRunner().invoke(app, ["video", station.link, *options])
    assert result.exit_code == 0, result.output
    assert "frames dropped" in result.output
    content = json.loads((tmp_path / "out" / "live.json").read_text())
    assert "partial" not in content["info"]
    rows = content["images"]
    assert len(rows) >= 5
    indices = [row["frame_index"] for row in rows]
    assert indices == sorted(set(indices))
    written = [time for time, _ in frames_of(tmp_path / "out" / "live.mp4")]
    stamps = [row["timestamp"] for row in rows]
    assert np.diff(written) == pytest.approx(np.diff(stamps), abs=2e-3)

    station.breaks_after, station.most = [0.5], station.connections + 2  # one to see what it is
    result = CliRunner().invoke(app, ["video", station.link, *options[:2], "0.1", "-o", "again"])
    assert result.exit_code == 1
    assert "did not come back within 0.1 s" in result.stderr
    assert json.loads((tmp_path / "again" / "live.json").read_text())["info"]["partial"] is True
    assert frames_of(tmp_path / "again" / "live.mp4")


def test_sources_are_live_by_what_they_are_called() -> None:
    assert is_live(0) and is_live("rtsp://host/stream") and is_live("SRT://host:1234")
    assert not (is_live(Path("clip.mp4")) or is_live("https://host/clip.mp4"))
