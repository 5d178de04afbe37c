import pytest

from mrpose_cli.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31m.jpg", r"a\x1b[31m.jpg"),
        ("a\rb\nc\td\a", r"a\rb\nc\td\x07"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("\u202egpj.exe\u2069", r"\u202egpj.exe\u2069"),
        ("two\u2028lines", r"two\u2028lines"),
        ("\udcff.jpg", r"\udcff.jpg"),
        ("Zoë's 写真 [/b] 👩‍👧 :car: \\x1b.jpg", "Zoë's 写真 [/b] 👩‍👧 :car: \\x1b.jpg"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_instead(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).encode()
