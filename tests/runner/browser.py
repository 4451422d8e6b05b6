# SPDX-License-Identifier: BSD-3-Clause
"""A headless Chromium, spoken to over a pair of pipes: no port, no network, nothing but the standard library.

    python3 tests/runner/browser.py PAGE DIRECTORY

takes the pictures that somebody should look at when the page changes: wide and narrow, light and dark, the table and an open cell.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

ANSWER_SECONDS = 90
WIDTHS = {"wide": (1600, 1000, False), "narrow": (400, 800, True)}


def find():
    """find returns the path of Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """Browser is one page of a Chromium of its own; a context manager. Requests that the page makes are in `requests`."""

    def __init__(self, path):
        self._profile = tempfile.TemporaryDirectory(prefix="nvme-conform-browser-", ignore_cleanup_errors=True)
        from_us, self._out = os.pipe()
        self._in, to_us = os.pipe()
        command = [path, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
                   "--remote-debugging-pipe", f"--user-data-dir={self._profile.name}", "about:blank"]
        # Chromium reads its descriptor 3 and writes its 4.
        shell = f'exec "$@" 3<&{from_us} 4>&{to_us}'
        self._process = subprocess.Popen(["bash", "-c", shell, "bash", *command], pass_fds=(from_us, to_us),
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(from_us)
        os.close(to_us)
        self._number, self._buffer, self._session = 0, b"", None
        self.requests = []

    def __enter__(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Network.enable")
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)
        self._profile.cleanup()

    def call(self, method, **params):
        """call sends one command of the DevTools protocol and returns its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            answer = self._read(deadline)
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error'].get('message')}")
                return answer["result"]

    def _read(self, deadline):
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError("chromium does not answer")
            data = os.read(self._in, 1 << 20)
            if not data:
                raise RuntimeError("chromium ended")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, path, fragment=""):
        """open shows a file and returns when it is there."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=f"file://{os.path.abspath(path)}{fragment}")
        self.wait("location.protocol + document.readyState == 'file:complete'")

    def wait(self, expression):
        """wait returns when the expression is true in the page."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self.value(expression):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never true: {expression}")
            time.sleep(0.05)

    def value(self, expression):
        """value evaluates JavaScript in the page and returns what comes out."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails'].get('text')}")
        return answer["result"].get("value")

    def click(self, selector):
        """click clicks with the mouse in the middle of an element, where a person would."""
        where = self.value(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
                           " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)

    def type(self, selector, text):
        """type puts text into a field as a keyboard would."""
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def look(self, width, height, narrow=False, dark=False):
        """look sets the size of the window and what the person prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=narrow)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def picture(self, path):
        """picture stores what is seen as a PNG."""
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


def main():
    """main takes the pictures."""
    page, directory = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    with Browser(find()) as browser:
        for name, (width, height, narrow) in WIDTHS.items():
            for dark in (False, True):
                browser.look(width, height, narrow, dark)
                base = os.path.join(directory, f"{name}-{'dark' if dark else 'light'}")
                browser.open(page)
                browser.picture(f"{base}.png")
                browser.value("document.querySelector('tbody tr.req').scrollIntoView()")
                browser.picture(f"{base}-table.png")
                cell = browser.value("(document.querySelector('td a .v-fail') || document.querySelector('td a')).closest('a').hash")
                browser.open(page, cell)
                browser.picture(f"{base}-cell.png")


if __name__ == "__main__":
    main()
