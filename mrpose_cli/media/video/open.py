"""Opening clips: plain media files, streams from the network, and nothing that leads elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
from av.error import FFmpegError
from av.stream import Disposition

from mrpose_cli.errors import InputError
from mrpose_cli.version import __version__

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# FFmpeg also reads texts that name other files (ffconcat, playlists, SDP), sequences of pictures, scripts and
# devices. A clip from elsewhere must not open its neighbors or call servers, so none of these is a clip here.
_CONTAINERS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,asf_o,ogg,gif,apng,mxf,gxf,"
    "dv,nut,ivf,wtv,rm,nsv,swf,dhav,ty,obu,av1,h261,h263,h264,hevc,vvc,m4v,vc1,cavsvideo,dirac,mjpeg,"
    "yuv4mpegpipe,roq,smk,bink,flic"
)
_SOUND: Final = "aac,ac3,eac3,mp3,wav,flac"  # of a file: to say that it is no clip; of a stream: its parts
_STREAMS: Final = f"{_CONTAINERS},{_SOUND},hls,rtsp,mpjpeg,webvtt"
_FILE: Final = {"protocol_whitelist": "file", "format_whitelist": f"{_CONTAINERS},{_SOUND}"}
_LINK: Final = {
    "protocol_whitelist": "http,https,httpproxy,tls,tcp,udp,rtp,srtp,rtmp,rtmps,srt,crypto",
    "format_whitelist": _STREAMS,
}

_MAX_PIXELS: Final = 100_000_000  # of a frame; a damaged one may claim to be larger, and take gigabytes


def open_container(
    location: Path | str, timeout: float, options: dict[str, str] | None = None
) -> InputContainer:
    """Open a file or a link.

    Args:
        location: A path or a link. A path leads to that file alone, a link to no file.
        timeout: Seconds a server may stay silent.
        options: For FFmpeg.

    Raises:
        InputError: it cannot be read; the message does not name it.
    """
    if isinstance(location, Path):
        target = f"file:{location}"  # else a colon in the name would be a protocol
        limits = _FILE
        if not location.is_file():
            raise InputError("it is a folder" if location.is_dir() else "no such file")
        if not location.stat().st_size:
            raise InputError("the file is empty")
    else:
        target, limits = location, _LINK
        if location.startswith("http"):
            limits = {**limits, "user_agent": f"mrpose/{__version__}"}
    try:
        return av.open(
            target, options={**limits, **(options or {})}, timeout=timeout, metadata_errors="replace"
        )
    except FFmpegError as error:
        raise InputError(_reason(error)) from error


def video_stream(container: InputContainer) -> VideoStream:
    """Return the video stream that players show.

    Raises:
        InputError: there is none.
    """
    # Covers of songs are video streams, too.
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        if container.streams.audio:
            raise InputError("it holds sound only")
        raise InputError("it holds no video")
    best = container.streams.best("video")
    stream = best if best in moving else moving[0]
    if stream.codec_context is None:
        raise InputError("its codec is not one that FFmpeg can decode")
    stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
    return stream


def _reason(error: FFmpegError) -> str:
    if isinstance(error, av.error.InvalidDataError):
        return "not a video that can be read, or cut off before its index; copy it again"
    if isinstance(error, av.error.EOFError):
        return "it holds no frames"
    if isinstance(error, av.error.HTTPError | av.error.HTTPClientError):
        return f"the server refused it ({error.strerror})"
    if isinstance(error, av.error.TimeoutError | av.error.ExitError):
        return "the server does not answer"
    if isinstance(error, av.error.ArgumentError):
        return (
            "broken, or not a kind of video that is opened, such as MP4, MOV, MKV or AVI "
            "(playlists and lists of files are not)"
        )
    return f"it cannot be opened ({error.strerror or error})"
