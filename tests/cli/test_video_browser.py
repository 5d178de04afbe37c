"""What a browser makes of an overlay."""

from pathlib import Path

import av
import numpy as np
import pytest
from browser import Browser
from PIL import Image
from typer.testing import CliRunner

from mrpose_cli.cli import app

pytestmark = pytest.mark.downloads

CLIP = Path(__file__).parents[2] / "samples" / "pedestrians.mp4"
PAGE = """<body style="margin:0"><video id="v" src="pedestrians.mp4" muted preload="auto"></video>
<script>
v.onloadedmetadata = () => { v.currentTime = v.duration / 2 + 0.05 }
v.onseeked = () => { document.title = `${v.videoWidth}x${v.videoHeight} of ${v.duration} s` }
v.onerror = () => { document.title = v.error.message }
</script>"""


def test_a_browser_plays_it_and_jumps_to_the_middle(tmp_path: Path, browser: Browser) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["video", str(CLIP), "-o", str(out), "--whole-image", "--quiet"])
    assert result.exit_code == 0, result.output
    page = out / "page.html"
    page.write_text(PAGE)
    with browser.open(page.as_uri(), 768, 700) as shown_page:
        assert shown_page.wait("document.title") == "768x576 of 8 s"
        shown_page.shot(tmp_path / "shot.png")
    with Image.open(tmp_path / "shot.png") as picture:
        shown = np.array(picture.convert("RGB"))[:576, :768].astype(int)
    with av.open(str(out / "pedestrians.mp4")) as container:
        written = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    distances = [float(np.abs(shown - image).mean()) for image in written]
    assert int(np.argmin(distances)) == 40  # the frame at 4 s, of 80
    assert distances[40] < 3
