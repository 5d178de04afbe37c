"""What is opened as a clip, and what is not: texts that lead to other files."""

import functools
import shutil
import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from video_clips import Recipe, make_clip, number_of

from mrpose_cli.errors import InputError
from mrpose_cli.media.video.reader import Clip

TICK = Fraction(1, 25)
MPEG4 = Recipe(codec="mpeg4", options={}, tick=TICK)
SAMPLE = Path(__file__).parents[3] / "samples" / "pedestrians.mp4"


@pytest.mark.parametrize(
    ("name", "container", "recipe"),
    [
        ("clip.mp4", None, Recipe(sound="aac")),
        ("clip.m4v", "mp4", Recipe()),
        ("clip.mov", None, Recipe()),
        ("clip.3gp", None, MPEG4),
        ("clip.mkv", None, Recipe(sound="ac3")),
        ("clip.webm", None, Recipe(codec="libvpx-vp9", options={"cpu-used": "8"})),
        ("clip.avi", None, MPEG4),
        ("clip.ts", None, Recipe(sound="aac")),
        ("clip.mts", "mpegts", Recipe()),
        ("clip.mpg", None, Recipe(codec="mpeg2video", options={}, tick=TICK)),
        ("clip.vob", "vob", Recipe(codec="mpeg2video", options={}, tick=TICK, sound="mp2")),
        ("clip.flv", None, Recipe(codec="flv1", options={})),
        ("clip.wmv", "asf", Recipe(codec="wmv2", options={})),
        ("clip.ogv", None, Recipe(codec="vp8", options={"cpu-used": "8"})),
        ("clip.mxf", None, Recipe(codec="mpeg2video", options={}, tick=TICK)),
        ("clip.gif", None, Recipe(codec="gif", pixels="rgb8", options={}, tick=TICK)),
        ("clip.apng", None, Recipe(codec="apng", pixels="rgb24", options={}, tick=TICK)),
        ("clip.264", "h264", Recipe()),
        ("clip.265", "hevc", Recipe(codec="libx265", options={"x265-params": "log-level=error"})),
        ("clip.y4m", "yuv4mpegpipe", Recipe(codec="rawvideo", options={}, tick=TICK)),
        ("clip.dv", None, Recipe(codec="dvvideo", options={}, tick=TICK, size=(720, 576))),
        ("clip.nut", None, MPEG4),
    ],
)
def test_containers_of_all_kinds_are_opened(
    tmp_path: Path, name: str, container: str | None, recipe: Recipe
) -> None:
    clip = Clip(make_clip(tmp_path / name, recipe, container=container), "clip")
    assert [number_of(frame.image) for frame in clip.frames()] == list(range(30))
    clip.close()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.mp4", "ffconcat version 1.0\nfile neighbor.mp4\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile neighbor.mp4\n"),
        ("hls.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\nneighbor.ts\n#EXT-X-ENDLIST\n"),
        ("hls.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\nneighbor.ts\n#EXT-X-ENDLIST\n"),
        ("data.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\ndata:,x\n#EXT-X-ENDLIST\n"),
        ("concat.m3u8", "#EXTM3U\n#EXTINF:1.2,\nconcat:neighbor.ts|neighbor.ts\n#EXT-X-ENDLIST\n"),
        ("part.ffconcat", "ffconcat version 1.0\nfile 'subfile,,start,0,end,9999,,:neighbor.ts'\n"),
        ("session.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=video 5004 RTP/AVP 32\n"),
        ("dash.mpd", "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'></MPD>"),
    ],
)
def test_a_text_that_leads_to_other_files_is_no_clip(tmp_path: Path, name: str, text: str) -> None:
    make_clip(tmp_path / "neighbor.mp4")
    make_clip(tmp_path / "neighbor.ts", container="mpegts")
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=r"^(broken, or )?not a (kind of )?video that .* (opened|read)"):
        Clip(tmp_path / name, "clip")


def test_a_picture_is_no_clip_whatever_it_is_called(tmp_path: Path) -> None:
    shutil.copy(SAMPLE.with_name("astronaut.png"), tmp_path / "clip001.mp4")
    with pytest.raises(InputError, match="not a kind of video"):
        Clip(tmp_path / "clip001.mp4", "clip")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the link under which a web server shows it."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(Handler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def _playlist(segment: str) -> str:
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    return f"{head}#EXTINF:1.2,\n{segment}\n#EXT-X-ENDLIST\n"


def test_links_to_clips_and_to_playlists_are_opened(site: tuple[Path, str]) -> None:
    folder, link = site
    make_clip(folder / "clip.mp4", Recipe(sound="aac"))
    make_clip(folder / "part.ts", Recipe(sound="aac"), container="mpegts")
    (folder / "list.m3u8").write_text(_playlist("part.ts"))
    for name in ("clip.mp4", "list.m3u8"):
        clip = Clip(f"{link}/{name}", "clip")
        assert [number_of(frame.image) for frame in clip.frames()] == list(range(30))
        assert clip.whole
        clip.close()


def test_a_playlist_from_the_network_leads_to_no_file(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, link = site
    private = make_clip(tmp_path / "private.ts", container="mpegts")
    make_clip(folder / "part.ts", container="mpegts")
    for number, segment in enumerate((f"file://{private}", f"file:{private}", str(private))):
        (folder / f"{number}.m3u8").write_text(_playlist(segment))
        with pytest.raises(InputError):
            Clip(f"{link}/{number}.m3u8", "clip")
    (folder / "list.mp4").write_text(f"ffconcat version 1.0\nfile {link}/part.ts\n")
    with pytest.raises(InputError, match="not a kind of video"):
        Clip(f"{link}/list.mp4", "clip")
