"""A page of another origin that knows the whole address, in a real browser."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from browser import Browser
from view_results import photos, served

PAGE = """<!doctype html><title>working</title><body></body><script type="module">
const there = ADDRESS;
const found = {};
const tried = async (name, attempt) => {
  try { found[name] = await attempt(); } catch { found[name] = "refused"; }
};
const body = JSON.stringify({ add: [{ result: "poses.json", kind: "nobody", image: 1, person: 1 }] });
const method = "POST";
const headers = { "Content-Type": "application/json" };
const loaded = (tag, address) => new Promise((yes, no) => {
  const element = document.createElement(tag);
  Object.assign(element, { onload: () => yes("loaded"), onerror: no, src: there + address });
  document.body.append(element);
});
await tried("read", async () => (await fetch(there + "api/meta")).text());
const mode = "no-cors";
await tried("blind", async () => (await fetch(there + "api/meta", { mode })).type);
await tried("write", async () => (await fetch(there + "api/flags", { method, body, headers })).status);
await tried("plain", async () => (await fetch(there + "api/flags", { method, body, mode })).type);
await tried("image", () => loaded("img", "api/photo?r=0&i=0"));
await tried("script", () => loaded("script", "static/dom.js"));
await loaded("iframe", "");
found.frame = document.querySelector("iframe").contentDocument === null ? "refused" : "seen";
document.title = JSON.stringify(found);
</script>"""


def test_it_can_neither_read_nor_write(tmp_path: Path, browser: Browser) -> None:
    class Foreign(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(PAGE.replace("ADDRESS", json.dumps(server.address)).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with served(photos(tmp_path)) as server, ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as foreign:
        thread = threading.Thread(target=foreign.serve_forever, args=(0.02,))
        thread.start()
        try:
            with browser.open(f"http://localhost:{foreign.server_port}/") as page:
                page.wait("document.title.startsWith('{')")
                found = json.loads(page.run("document.title"))
        finally:
            foreign.shutdown()
            thread.join()
        assert not server.session.flags.exists()
    assert found == dict.fromkeys(("read", "blind", "write", "plain", "image", "script", "frame"), "refused")
