"""Headless Chromium, driven over a pipe by its DevTools protocol: no port is opened and nothing has to be installed."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
    *("--disable-default-apps", "--no-default-browser-check", "--disable-dev-shm-usage", "--hide-scrollbars"),
    "--host-resolver-rules=MAP * ~NOTFOUND",  # whatever it asks for, it finds nobody
    "--remote-debugging-pipe",
)
TIMEOUT = 60.0


FONT = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include>/etc/fonts/fonts.conf</include>
  <match><edit name="family" mode="prepend" binding="strong"><string>{font}</string></edit></match>
</fontconfig>
"""


def installed(font: str) -> bool:
    """Whether fontconfig knows a family of this name."""
    lists = shutil.which("fc-list")
    return bool(lists and subprocess.run([lists, font], capture_output=True, check=False).stdout)


class Browser:
    """One page. `events` holds everything that it reported since `open`.

    Args:
        profile: a folder of its own.
        font: the family in which it shows whatever the page asks for; as the machine has it without one.
    """

    def __init__(self, profile: Path, font: str | None = None) -> None:
        assert CHROMIUM
        environment = dict(os.environ)
        if font:
            configuration = profile / "fonts.conf"
            configuration.write_text(FONT.format(font=font))
            environment["FONTCONFIG_FILE"] = str(configuration)
        here, theirs = os.pipe(), os.pipe()  # it reads commands from 3 and writes to 4

        through = f'exec "$@" 3< /dev/fd/{here[0]} 4> /dev/fd/{theirs[1]} > /dev/null 2>&1'
        command = ["sh", "-c", through, "sh", CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(command, pass_fds=(here[0], theirs[1]), env=environment)
        os.close(here[0])
        os.close(theirs[1])
        self.to, self.back = here[1], theirs[0]
        self.waiting = b""
        self.count = 0
        self.events: list[dict[str, Any]] = []
        self.session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT)
        os.close(self.to)
        os.close(self.back)

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command and wait for its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.count:
            self.events.append(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + TIMEOUT
        while b"\0" not in self.waiting:
            ready = select.select([self.back], [], [], max(0.0, end - time.monotonic()))[0]
            read = os.read(self.back, 1 << 20) if ready else b""
            assert read, "no answer from Chromium"
            self.waiting += read
        message, _, self.waiting = self.waiting.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def open(self, path: Path, width: int = 1400, height: int = 900, dark: bool = False) -> None:
        """Load a file and wait until it is there."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def fonts(self, query: str) -> set[str]:
        """The families in which the words of the first element that matches are drawn."""
        root = self.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        for domain in ("DOM", "CSS"):
            self.call(f"{domain}.enable")
        node = self.call("DOM.querySelector", nodeId=root, selector=query)["nodeId"]
        return {font["familyName"] for font in self.call("CSS.getPlatformFontsForNode", nodeId=node)["fonts"]}

    def named(self, *methods: str) -> list[dict[str, Any]]:
        """What the events of these kinds said."""
        return [event["params"] for event in self.events if event["method"] in methods]
