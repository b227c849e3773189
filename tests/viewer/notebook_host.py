"""What anywidget's front end is to a widget, in a page of its own, and the kernel behind it."""

import base64
import json
import threading
from typing import Any

from page_state import wait_for
from websockets.sync.server import serve

PAGE = """<!doctype html><title>a notebook</title>
<style>html { font-size: 10px } body { margin: 8px; color: COLOR; background: GROUND }</style>
<p tabindex=0 id=other>another cell</p>
<script type=module>
const encode = (part) => {
  const bytes = new Uint8Array(part.buffer ?? part, part.byteOffset ?? 0, part.byteLength);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
};
const decode = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
window.keys = [];
document.addEventListener("keydown", (event) => keys.push(event.key));
const modules = {};
/* A model listens from the moment it is made; a cell may render it more than once. */
window.show = async (port, esm, width) => {
  const el = document.createElement("div");
  el.style.width = width + "px";
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  await new Promise((resolve) => (socket.onopen = resolve));
  const hearers = new Set();
  socket.onmessage = (event) => {
    const [content, buffers] = JSON.parse(event.data);
    for (const hear of hearers) hear(content, buffers.map(decode));
  };
  const model = {
    on: (event, hear) => event === "msg:custom" && hearers.add(hear),
    off: (event, hear) => hearers.delete(hear),
    send: (content, callbacks, buffers = []) =>
      socket.send(JSON.stringify([content, buffers.map(encode)])),
  };
  const address = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
  const { default: widget } = await import(address);
  el.close = widget.render({ model, el });
  document.body.append(el);
};
window.isReady = true;
</script>"""


class Kernel:
    """Carries the messages of one widget: its comm."""

    def __init__(self, widget: Any) -> None:
        self._widget = widget
        self._talks: list[Any] = []
        widget.send = self.send  # in place of the comm that only a kernel has
        self._server = serve(self._converse, "127.0.0.1", 0, max_size=None)
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        parts = [base64.b64encode(part).decode() for part in buffers or []]
        for talk in list(self._talks):
            talk.send(json.dumps([content, parts]))

    def end(self) -> None:
        self._widget.close()
        self._server.shutdown()
        self._thread.join(20)

    def _converse(self, socket: Any) -> None:
        self._talks.append(socket)
        try:
            for message in socket:
                content, parts = json.loads(message)
                buffers = [memoryview(base64.b64decode(part)) for part in parts]
                self._widget._handle_custom_msg(content, buffers)
        finally:
            self._talks.remove(socket)


class Notebook:
    """A page with cells."""

    def __init__(self, browser: Any, *, is_dark: bool = False) -> None:
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport={"width": 1040, "height": 800})
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        color, ground = ("#eee", "#111") if is_dark else ("#222", "#fff")
        self.page.set_content(PAGE.replace("COLOR", color).replace("GROUND", ground))
        wait_for(self.page, "window.isReady")
        self._kernels: dict[int, Kernel] = {}
        self._cells = 0

    def show(self, widget: Any, width: int = 1000) -> str:
        """The explorer of the new cell, as an expression of the page."""
        if id(widget) not in self._kernels:
            self._kernels[id(widget)] = Kernel(widget)
        kernel = self._kernels[id(widget)]
        self.page.evaluate("([...all]) => show(...all)", [kernel.port, widget._esm, width])
        cell = f"document.querySelectorAll('.cryomix-explorer')[{self._cells}]"
        self._cells += 1
        wait_for(self.page, f"{cell}.explorer !== undefined")
        return f"{cell}.explorer"

    def end(self) -> None:
        self.page.close()
        for kernel in self._kernels.values():
            kernel.end()

    def _note(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)
