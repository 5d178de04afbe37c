"""Text from file names, files and arguments on its way to a reader."""

import re

# Control characters (ESC begins what terminals obey), line separators, what turns the writing direction over,
# and the surrogates that stand for bytes which are no text.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: object) -> str:
    r"""Return the text in one line, with escapes such as ``\x1b`` for what a terminal would obey, not show.

    >>> printable("a\x1b[31m\n")
    'a\\x1b[31m\\n'
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))
