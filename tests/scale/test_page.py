"""The arithmetic of docs/scale.md is what its code prints."""

import contextlib
import io
import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")


def test_table():
    code = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def speed" in block)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert printed.getvalue().startswith("| texts |")
    assert f"\n\n{printed.getvalue()}\n" in PAGE
