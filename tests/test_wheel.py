"""The wheel brings what the clone has: the manifest, the types, the console script."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_wheel_finds_its_own_weights_folder(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = tmp_path.glob("mrpose-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = archive.namelist()
    assert "mrpose_cli/shipped_weights/manifest.toml" in names
    assert "mrpose_cli/shipped_weights/mrfea2-cspnext-s_coco_256x192.safetensors" in names
    assert "mrpose_cli/shipped_weights/mrfea2-cspnext-s_coco_256x192.md" in names
    assert "mrpose_cli/skeletons/halpe26.toml" in names
    assert "mrpose_cli/py.typed" in names
    assert {f"mrpose_cli/view/static/{name}" for name in ("index.html", "main.js", "style.css")} < set(names)
    assert not [name for name in names if name.startswith(("tests/", "samples/"))]

    code = "import mrpose_cli.weights.manifest as m; print(m.__file__); print(m.manifest_path())"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    module, manifest = run.stdout.splitlines()
    assert Path(module).is_relative_to(tmp_path / "site")
    assert Path(manifest) == tmp_path / "site" / "mrpose_cli" / "shipped_weights" / "manifest.toml"
