"""``mrpose view``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrpose_cli.cli import options
from mrpose_cli.cli.console import errors_reported, progress_bar, remark, say

if TYPE_CHECKING:
    from mrpose_cli.view.session import Session


def view(
    result: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT",
            help="A folder that mrpose wrote, a JSON, JSONL or report of it, or any COCO keypoint JSON.",
            show_default=False,
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the photos, or the clip. [default: where the result says they are]",
            show_default=False,
        ),
    ] = None,
    ann: Annotated[
        Path | None,
        typer.Option(help="COCO annotations to compare with.", show_default=False),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write one page to send to somebody, pictures within, in place of serving it.",
            show_default=False,
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    html_size: Annotated[
        int,
        typer.Option(
            min=1,
            help="Megabytes that this page may have; of more photos it holds the most suspicious ones.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = 25,
    rerun: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.rrd",
            help="Write a recording for rerun's viewer (needs mrpose[rerun]), in place of serving a page.",
            show_default=False,
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="The port, for a tunnel. [default: any]", show_default=False),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
) -> None:
    """Look at what came out: photos or clips with their people, what is suspicious first.

    Serves a page on this machine until Ctrl-C. Flags that are set there are saved in flags.json beside the
    result, which itself is never changed.

    **Examples**

    - `mrpose view mrpose-out/`

    - `mrpose view mrpose-eval/ --images val2017/ --ann person_keypoints_val2017.json`

    - `mrpose view any_coco.json --images photos/`

    - `mrpose view mrpose-out/ --html look-at-this.html`

    - `mrpose view mrpose-out/walk.json --rerun walk.rrd`

    - `mrpose view mrpose-out/ --port 8000 --no-browser` and, elsewhere, `ssh -L 8000:localhost:8000 HOST`

    The exit code is 0 after Ctrl-C, 1 on failure, 2 for wrong usage.
    """
    with errors_reported():
        from mrpose_cli.view.find import Request, find_results
        from mrpose_cli.view.server import Server
        from mrpose_cli.view.session import Session

        session = Session.at(result, find_results(Request(result, images, ann)))
        opened = session.shown(0).opened
        for note in filter(None, (opened.source, *opened.notes)):
            remark(note)
        if html is not None or rerun is not None:
            _write(session, html, html_size, rerun, overwrite=overwrite)
            return
        server = Server(session, port or 0)
        say(f"{server.address}  (Ctrl-C ends it)")
        try:
            if browser:
                _open(server.address)
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            server.server_close()


def _open(address: str) -> None:
    """Open a browser where there is a screen; those for terminals would take this one."""
    import os
    import webbrowser

    if sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(address)


def _write(
    session: Session, html: Path | None, megabytes: int, rerun: Path | None, *, overwrite: bool
) -> None:
    from mrpose_cli.errors import UsageError, parameter

    written = [path for path in (html, rerun) if path is not None]
    for path in written:
        if path.exists() and not overwrite:
            raise UsageError(
                f"{path} exists; choose another name, or replace it with {parameter('overwrite')}"
            )
    if rerun is not None and len(session.results) > 1:
        raise UsageError("a recording holds one result; name the JSON file itself")
    with progress_bar() as progress:
        if html is not None:
            from mrpose_cli.view.page import write_page

            for words in write_page(html, session, megabytes * 1_000_000, progress):
                remark(words)
        if rerun is not None:
            from mrpose_cli.view.rerun_file import write_recording

            write_recording(rerun, session.shown(0), progress)
    for path in written:
        say(f"{path}  ({path.stat().st_size / 1e6:.1f} MB)")
