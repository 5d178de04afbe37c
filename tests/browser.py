"""A real Chromium without a window, driven over a pipe by its DevTools protocol; no library is needed."""

import base64
import itertools
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Self

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
_CODES = {" ": "Space", "Escape": "Escape", "Enter": "Enter", "Tab": "Tab"}
_VIRTUAL = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36}
_VIRTUAL |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Browser:
    """One Chromium.

    Args:
        folder: For its profile and its downloads.
    """

    def __init__(self, folder: Path) -> None:
        assert BROWSER is not None
        self.downloads = folder / "downloads"
        command_out, self._commands = os.pipe()
        self._answers, answers_in = os.pipe()
        for end in (command_out, answers_in):
            os.set_inheritable(end, True)
        options = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--mute-audio", "--no-first-run"]
        options += ["--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
        options += ["--autoplay-policy=no-user-gesture-required", "--disable-component-update"]
        # The pipe's ends are descriptors 3 and 4 of Chromium.
        wire = 'exec "$@" 3<&"$IN" 4>&"$OUT"'
        self._process = subprocess.Popen(
            ["bash", "-c", wire, "bash", BROWSER, *options, "--remote-debugging-pipe",
             f"--user-data-dir={folder / 'profile'}", "about:blank"],
            pass_fds=(command_out, answers_in),
            env={**os.environ, "IN": str(command_out), "OUT": str(answers_in)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(command_out)
        os.close(answers_in)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, queue.Queue[dict[str, Any]]] = {}
        self.pages: dict[str, Page] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        buffer = b""
        while data := os.read(self._answers, 1 << 16):
            *messages, buffer = (buffer + data).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self._waiting.pop(message["id"]).put(message)
                elif message.get("sessionId") in self.pages:
                    self.pages[message["sessionId"]].events.append(message)

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer = self._waiting[number] = queue.Queue()
        message = {"id": number, "method": method, "params": params}
        text = json.dumps(message | ({"sessionId": session} if session else {}))
        os.write(self._commands, text.encode() + b"\0")
        found = answer.get(timeout=60)
        assert "error" not in found, (method, found["error"])
        result: dict[str, Any] = found["result"]
        return result

    def open(self, address: str, width: int = 1280, height: int = 800, *, dark: bool = False) -> "Page":
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.send(f"{domain}.enable")
        page.resize(width, height)
        page.theme(dark=dark)
        behavior = {"behavior": "allow", "downloadPath": str(self.downloads)}
        self.send("Browser.setDownloadBehavior", **behavior)
        page.send("Page.navigate", url=address)
        return page

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._reader.join(20)
        os.close(self._commands)
        os.close(self._answers)


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.send("Page.close")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.send(method, self._session, **params)

    def resize(self, width: int, height: int, *, touch: bool = False) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
        self.send("Emulation.setDeviceMetricsOverride", **metrics)
        self.send("Emulation.setTouchEmulationEnabled", enabled=touch)

    def theme(self, *, dark: bool) -> None:
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def run(self, script: str) -> Any:
        """The value of an expression, of what a promise comes to."""
        options = {"returnByValue": True, "awaitPromise": True}
        found = self.send("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 60) -> Any:
        """The value of an expression once it is true."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"never true: {script}; {self.problems()}"
            time.sleep(0.02)
        return value

    def key(self, key: str, *, shift: bool = False) -> None:
        code = _CODES.get(key) or (
            f"Digit{key}"
            if key.isdecimal()
            else f"Key{key.upper()}"
            if key.isalpha() and len(key) == 1
            else key
        )
        options: dict[str, Any] = {"key": key, "code": code, "modifiers": 8 if shift else 0}
        options["windowsVirtualKeyCode"] = _VIRTUAL.get(key, ord(key[0].upper()))
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **options, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **options)

    def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def shot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def requests(self) -> list[str]:
        """All addresses that were asked for."""
        wanted = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in wanted]

    def problems(self) -> list[Any]:
        """Errors of scripts, and what the policy of the page blocked."""
        found = [event["params"] for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        logs = [event["params"]["entry"] for event in self.events if event["method"] == "Log.entryAdded"]
        return found + [entry for entry in logs if entry["level"] == "error"]
