"""Text from files, data and clients, shown as it is where Markdown is understood."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    """Escape the signs that mean something in Markdown, emoji and directives included."""
    return re.sub(r"([\\`*_{}\[\]()#+\-!|~<>$:&@]|(?<=www)\.)", r"\\\1", text)
