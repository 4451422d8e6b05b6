# SPDX-License-Identifier: BSD-3-Clause
"""The one place that keeps secrets out of everything written: files, terminal, error lines.

Two nets: what looks like a secret (DHHC-1:..., NVMeTLSkey-1:...) and every secret known to this run in any usual
spelling, so that a malformed one, or its bare base64 or hex, is caught too.
"""

import base64
import hashlib
import re

# base64 as it appears in text and in JSON, where "/" may be written "\/". Eight characters or more: a sentence about the
# format ("DHHC-1:hh:") is not a secret.
SECRET_TEXT = re.compile(r"(DHHC-1|NVMeTLSkey-1):([0-9A-Za-z]{1,2}):(?:[A-Za-z0-9+/=]|\\/){8,}:?")
# A text of fewer characters than this cannot be taken out of every line without wrecking it.
SHORTEST_KNOWN = 6


def fingerprint(secret):
    """fingerprint names secret bytes without showing them; the same spelling as nvc_secret_fingerprint()."""
    if not secret:
        return "empty"
    digest = hashlib.sha256(b"nvme-conform fingerprint\0" + secret)
    return "sha256:" + digest.hexdigest()[:8]


class Redactor:
    """Redactor replaces secrets in text; known() teaches it one more."""

    def __init__(self):
        self._known = {}

    def known(self, text, secret=b""):
        """known adds a secret as given (text) and, where it could be decoded, its bytes."""
        name = f"<secret {fingerprint(secret)}>" if secret else "<secret>"
        spellings = [text.strip()]
        if ":" in text:
            spellings += [part for part in text.split(":") if len(part) >= 24]
        if secret:
            spellings += [secret.hex(), secret.hex().upper(), base64.b64encode(secret).decode("ascii").rstrip("=")]
        for spelling in spellings:
            if len(spelling) < SHORTEST_KNOWN:
                continue
            self._known[spelling] = name
            self._known[spelling.replace("/", "\\/")] = name

    def text(self, text):
        """text returns text without any secret."""
        for spelling in sorted(self._known, key=len, reverse=True):
            if spelling in text:
                text = text.replace(spelling, self._known[spelling])
        return SECRET_TEXT.sub(r"\1:\2:<redacted>", text)
