"""The long description of the package: the README, with links that work outside the repository.

A link to a page of the repository is relative in the README, and leads nowhere on the page of the package. Here it
leads to the `Source` of `[project.urls]`; without one it is a text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatchling.metadata.plugin.interface import MetadataHookInterface

__all__ = ["get_metadata_hook", "long_description"]

_RELATIVE = re.compile(r"\[([^\]]+)\]\((?!https?:|#)([^)]+)\)")


def long_description(readme: str, source: str | None) -> str:
    """The README with absolute links, below the address of the repository; or with texts in their place."""
    address = rf"[\1]({source.rstrip('/')}/blob/main/\2)" if source else r"\1"
    return _RELATIVE.sub(address, readme)


def get_metadata_hook() -> type[MetadataHookInterface]:
    """The hook, for hatchling."""
    from hatchling.metadata.plugin.interface import MetadataHookInterface

    class Readme(MetadataHookInterface):
        """Sets `readme`, which is a dynamic field."""

        PLUGIN_NAME = "custom"

        def update(self, metadata: dict[str, object]) -> None:
            urls = metadata.get("urls")
            source = urls.get("Source") if isinstance(urls, dict) else None
            text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
            metadata["readme"] = {
                "content-type": "text/markdown",
                "text": long_description(text, source),
            }

    return Readme
