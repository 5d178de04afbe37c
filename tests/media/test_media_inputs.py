import inspect
import os
import sys
import time
from pathlib import Path

import pytest
from media_helpers import open_folder, without_root

from mrpose_cli.errors import InputError
from mrpose_cli.media.images import read_image
from mrpose_cli.media.inputs import InputProblem, Source, expand


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, so that inputs can be written as users write them."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def put(*paths: str) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(b"x")


def names(*inputs: str, recursive: bool = False, exclude: Path | None = None) -> list[str]:
    """The names for inputs that must all be fine."""
    sources, problems = expand(inputs, recursive=recursive, exclude=exclude)
    assert problems == []
    return [source.name for source in sources]


def problem(*inputs: str, recursive: bool = False, exclude: Path | None = None) -> InputProblem:
    """The only problem of inputs."""
    _, problems = expand(inputs, recursive=recursive, exclude=exclude)
    (only,) = problems
    return only


def test_a_photo_is_found_where_the_user_said(here: Path) -> None:
    put("a.jpg")
    assert expand(["a.jpg"]) == ([Source(Path("a.jpg"), "a.jpg")], [])
    assert expand([str(here / "a.jpg")]) == ([Source(here / "a.jpg", "a.jpg")], [])


def test_an_explicit_file_of_any_suffix_is_taken(here: Path) -> None:
    put("scan", "photo.dat")
    assert names("scan", "photo.dat") == ["scan", "photo.dat"]


def test_a_folder_gives_its_photos_in_natural_order(here: Path) -> None:
    put("d/img10.jpg", "d/img2.JPG", "d/IMG1.png", "d/b.webp", "d/.hidden.jpg", "d/notes.txt", "d/clip.mp4")
    put("d/deeper/c.jpg", "d/.thumbs/t.jpg")
    assert names("d") == ["b.webp", "IMG1.png", "img2.JPG", "img10.jpg"]
    assert names("d/", recursive=True) == ["b.webp", "deeper/c.jpg", "IMG1.png", "img2.JPG", "img10.jpg"]


def test_a_pattern_gives_photos_in_natural_order(here: Path) -> None:
    put("d/x10.jpg", "d/x9.jpg", "d/e/f/y.jpg", "d/notes.txt", "d/clip.mov", "d/.z.jpg")
    assert names("d/*.jpg") == ["x9.jpg", "x10.jpg"]
    assert names("d/*") == names("d") == ["x9.jpg", "x10.jpg"]
    assert names("d/x?.jpg") == ["x9.jpg"]
    assert names("**/*.jpg") == ["e/f/y.jpg", "x9.jpg", "x10.jpg"]
    assert names(str(here / "d" / "*.jpg")) == ["x9.jpg", "x10.jpg"]


def test_a_pattern_that_names_a_suffix_gets_it(here: Path) -> None:
    put("d/a.dat", "d/b.dat")
    assert names("d/*.dat") == ["a.dat", "b.dat"]


def test_folders_that_a_pattern_matches_give_their_photos(here: Path) -> None:
    put("day1/a.jpg", "day2/b.jpg", "day3/none.doc")
    assert names("day*") == ["day1/a.jpg", "day2/b.jpg"]


def test_an_existing_name_is_no_pattern(here: Path) -> None:
    put("shot[1].jpg", "shot1.jpg", "odd*/a.jpg", "oddity/b.jpg")
    assert names("shot[1].jpg") == ["shot[1].jpg"]
    assert names("shot[0-9].jpg") == ["shot1.jpg"]
    assert [source.location for source in expand(["odd*"])[0]] == [Path("odd*/a.jpg")]


def test_a_list_holds_inputs_relative_to_its_folder(here: Path) -> None:
    put("sets/a.jpg", "sets/more/b.jpg", "sets/more/c.jpg", "sets/d [1]/e.jpg", "f.jpg")
    Path("sets/list.txt").write_text(
        "\ufeff# my photos\r\n\r\na.jpg\r\nmore/*.jpg\r\nd [1]\r\n../f.jpg\r\nhttps://host/g.jpg\r\n",
        encoding="utf-8",
        newline="",
    )
    sources, problems = expand(["sets/list.txt"])
    assert problems == []
    assert [(str(source.location), source.name) for source in sources] == [
        ("sets/a.jpg", "sets/a.jpg"),
        ("sets/more/b.jpg", "sets/more/b.jpg"),
        ("sets/more/c.jpg", "sets/more/c.jpg"),
        ("sets/d [1]/e.jpg", "sets/d [1]/e.jpg"),
        ("sets/../f.jpg", "f.jpg"),
        ("https://host/g.jpg", "g.jpg"),
    ]


def test_problems_in_a_list_say_where(here: Path) -> None:
    put("a.jpg")
    Path("list.txt").write_text("a.jpg\nnone.jpg\nlist.txt\n")
    sources, problems = expand(["list.txt"])
    assert [source.name for source in sources] == ["a.jpg"]
    assert problems == [
        InputProblem("none.jpg", "no such file or folder (list.txt, line 2)"),
        InputProblem("list.txt", "a list within a list is not read (list.txt, line 3)"),
    ]


def test_a_list_that_is_none(here: Path) -> None:
    Path("empty.txt").write_text("# nothing\n\n")
    Path("binary.txt").write_bytes(b"\xff\xfe\x00a")
    assert problem("empty.txt").message == "the list is empty"
    assert problem("binary.txt").message == "not a list: it is not UTF-8 text"


def test_a_list_that_may_not_be_read() -> None:
    with open_folder() as folder:
        path = folder / "list.txt"
        path.write_text("a.jpg")
        path.chmod(0)
        with without_root():
            found = problem(str(path))
    assert found.message == "the list cannot be opened (Permission denied)"


def test_a_photo_reached_twice_is_taken_once(here: Path) -> None:
    put("d/a.jpg", "d/b.jpg")
    Path("alias").symlink_to("d")
    assert names("d/b.jpg", "d", "d/*.jpg", "./d/../d/a.jpg", "alias", str(here / "d")) == ["b.jpg", "a.jpg"]
    assert names("http://h/a.jpg", "http://h/a.jpg#top") == ["a.jpg"]


def test_a_link_to_a_photo_is_a_photo_of_its_own_name(here: Path) -> None:
    put("store/1f3a.jpg")
    Path("set").mkdir()
    Path("set/anna.jpg").symlink_to("../store/1f3a.jpg")
    Path("set/berta.jpg").symlink_to("../store/1f3a.jpg")
    assert names("set") == ["anna.jpg", "berta.jpg"]


def test_photos_in_the_output_folder_are_never_taken(here: Path) -> None:
    put("d/a.jpg", "d/out/a.jpg", "d/out/deep/b.jpg")
    out = Path("d/out")
    assert names("d", recursive=True, exclude=out) == ["a.jpg"]
    assert names("d/**/*.jpg", exclude=out) == ["a.jpg"]
    assert names("d/*", exclude=out) == ["a.jpg"]
    message = "it lies in the output folder; choose another output folder"
    assert problem("d/out/a.jpg", exclude=out) == InputProblem("d/out/a.jpg", message)
    assert problem("d/out/deep", exclude=out) == InputProblem("d/out/deep", message)
    assert names("d", exclude=Path("not-there")) == ["a.jpg"]


def test_problems_do_not_stop_the_rest(here: Path) -> None:
    put("a.jpg", "empty/sub/b.jpg", "clip.MP4", "z.jpg")
    inputs = [
        "a.jpg",
        "",
        "no.jpg",
        "no*.jpg",
        "empty",
        "clip.MP4",
        "ftp://h/x.jpg",
        "http:///x.jpg",
        "z.jpg",
    ]
    inputs += ["https://h/clip.mov?x=1", "http://[oops/x.jpg", "a.jpg/b.jpg", "nul\0.jpg"]
    sources, problems = expand(inputs)
    assert [source.name for source in sources] == ["a.jpg", "z.jpg"]
    assert [(found.name, found.message) for found in problems] == [
        ("", "an empty name"),
        ("no.jpg", "no such file or folder"),
        ("no*.jpg", "no photo matches this pattern"),
        ("empty", "no photos in this folder; `recursive` looks in the folders within it"),
        ("clip.MP4", 'a video; use "mrpose video"'),
        ("ftp://h/x.jpg", "only http and https links can be read"),
        ("http:///x.jpg", "a link without a server name"),
        ("https://h/clip.mov?x=1", 'a video; use "mrpose video"'),
        ("http://[oops/x.jpg", "not a valid link (Invalid IPv6 URL)"),
        ("a.jpg/b.jpg", "no such file or folder"),
        ("nul\0.jpg", "cannot be opened (embedded null byte)"),
    ]


def test_a_folder_that_may_not_be_opened() -> None:
    with open_folder() as folder:
        put(f"{folder}/a.jpg", f"{folder}/locked/b.jpg")
        locked = folder / "locked"
        locked.chmod(0)
        with without_root():
            sources, problems = expand([str(folder), str(locked), str(locked / "b.jpg")], recursive=True)
        locked.chmod(0o700)
    assert [source.name for source in sources] == ["a.jpg"]
    message = "the folder cannot be opened (Permission denied)"
    assert problems == [
        InputProblem(str(locked), message),
        InputProblem(str(locked), message),
        InputProblem(str(locked / "b.jpg"), "cannot be opened (Permission denied)"),
    ]


def test_links_in_circles_stop_nothing(here: Path) -> None:
    put("d/good.jpg")
    Path("d/a.jpg").symlink_to("b.jpg")
    Path("d/b.jpg").symlink_to("a.jpg")
    Path("d/up").symlink_to("..")
    Path("d/self").symlink_to("self")
    Path("d/gone.jpg").symlink_to("nowhere.jpg")
    assert names("d", recursive=True) == ["a.jpg", "b.jpg", "gone.jpg", "good.jpg"]
    assert names("d/*.jpg") == ["a.jpg", "b.jpg", "gone.jpg", "good.jpg"]
    sources, problems = expand(["d/a.jpg", "d/self", "d/self/*.jpg", "d/gone.jpg", "d/good.jpg"])
    assert [source.name for source in sources] == ["good.jpg"]
    circles = "Too many levels of symbolic links"
    assert problems == [
        InputProblem("d/a.jpg", f"cannot be opened ({circles})"),
        InputProblem("d/self", f"cannot be opened ({circles})"),
        InputProblem("d/self", f"the folder cannot be opened ({circles})"),
        InputProblem("d/gone.jpg", "no such file or folder"),
    ]


def test_photos_that_are_links_in_circles_are_errors_of_one_line(here: Path) -> None:
    Path("a.jpg").symlink_to("b.jpg")
    Path("b.jpg").symlink_to("a.jpg")
    Path("gone.jpg").symlink_to("nowhere.jpg")
    with pytest.raises(InputError, match=r"^the file cannot be read \(Too many levels of symbolic links\)$"):
        read_image(Path("a.jpg"))
    with pytest.raises(InputError, match=r"^the file does not exist; it is a link to one that is gone$"):
        read_image(Path("gone.jpg"))


def test_a_pattern_searches_no_folder_twice(here: Path) -> None:
    put("d/a.jpg", "d/e/b.jpg", "d/e/f/c.jpg")
    Path("d/one").symlink_to(".")
    Path("d/two").symlink_to(".")
    Path("d/e/up").symlink_to("..")
    start = time.perf_counter()
    assert names("d/**/*.jpg") == ["a.jpg", "e/b.jpg", "e/f/c.jpg"]
    assert sorted(names("**/**/e/**/*.jpg")) == ["a.jpg", "e/b.jpg", "e/f/c.jpg"]
    assert names("d/**") == ["a.jpg", "e/b.jpg", "e/f/c.jpg"]
    assert time.perf_counter() - start < 1


def test_a_pattern_follows_links_to_folders(here: Path) -> None:
    put("store/day1/a.jpg", "store/day1/.b.jpg", "store/.day2/c.jpg")
    Path("set").mkdir()
    Path("set/first").symlink_to("../store/day1")
    assert [str(source.location) for source in expand(["set/**/*.jpg"])[0]] == ["set/first/a.jpg"]
    assert names("store/*/") == ["a.jpg"]
    assert names("store/*/.*.jpg") == [".b.jpg"]
    assert names("store/.d*/*.jpg") == ["c.jpg"]
    put("store/x.jpg")
    assert names("store/*/") == ["a.jpg"]
    assert names(f"{here}/st[o]re/**/[!x].jpg") == ["a.jpg"]


def test_depth_costs_no_calls_within_calls(here: Path) -> None:
    name = "d/" * 100 + "a.jpg"
    put(name)
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 60)
    try:
        found = expand(["."], recursive=True), expand(["**/*.jpg"])
    finally:
        sys.setrecursionlimit(usual)
    assert found == (([Source(Path(name), name)], []), ([Source(Path(name), "a.jpg")], []))


@pytest.mark.parametrize("recursive", [False, True])
def test_pipes_and_devices_are_never_opened(recursive: bool, here: Path) -> None:
    put("d/a.jpg")
    os.mkfifo("d/list.txt")
    os.mkfifo("d/pipe.jpg")
    Path("d/endless.txt").symlink_to("/dev/zero")
    sources, problems = expand(
        ["d/list.txt", "d/endless.txt", "d/pipe.jpg", "d/*.txt", "d"], recursive=recursive
    )
    assert [source.name for source in sources] == ["a.jpg", "pipe.jpg"]
    assert {found.message for found in problems} == {"not a regular file"}
    assert len(problems) == 5
    with pytest.raises(InputError, match=r"^not a regular file$"):
        read_image(Path("d/pipe.jpg"))


def test_a_file_too_large_to_be_a_list(here: Path) -> None:
    with Path("list.txt").open("wb") as file:
        file.truncate(10**12)
    assert problem("list.txt").message == "not a list: larger than 100 MB"


def test_a_pattern_says_which_folders_it_could_not_search() -> None:
    with open_folder() as folder:
        put(f"{folder}/a.jpg", f"{folder}/locked/b.jpg", f"{folder}/listed/c.jpg")
        (folder / "locked").chmod(0)
        (folder / "listed").chmod(0o744)
        with without_root():
            sources, problems = expand([f"{folder}/**/*.jpg", f"{folder}/l*/*.jpg"])
            with pytest.raises(InputError, match=r"^permission denied$"):
                read_image(folder / "listed" / "c.jpg")
        (folder / "locked").chmod(0o700)
    assert [source.name for source in sources] == ["a.jpg", "listed/c.jpg"]
    assert (
        problems
        == [
            InputProblem(f"{folder}/locked", "the folder cannot be opened (Permission denied)"),
        ]
        * 2
    )


def test_names_start_at_the_deepest_common_folder(here: Path) -> None:
    put("a/x.jpg", "b/x.jpg", "b/c/y.jpg", "top.jpg")
    assert names("a/x.jpg", "b/x.jpg") == ["a/x.jpg", "b/x.jpg"]
    assert names("a", "b/c") == ["a/x.jpg", "b/c/y.jpg"]
    assert names("b", "b/c") == ["x.jpg", "c/y.jpg"]
    assert names("top.jpg", "a") == ["top.jpg", "a/x.jpg"]
    assert names("b", recursive=True) == ["c/y.jpg", "x.jpg"]
    os.chdir("b/c")
    assert names("y.jpg", "../../a/x.jpg") == ["b/c/y.jpg", "a/x.jpg"]
    assert names("../x.jpg") == ["x.jpg"]


def test_links_are_named_by_their_last_part_unless_it_clashes(here: Path) -> None:
    put("x.png")
    assert names("https://h/a/y.png?size=2#top", "http://h/caf%C3%A9%20%231.jpg") == ["y.png", "café #1.jpg"]
    assert names("https://Host.org:81/a/x.png", "x.png") == ["host.org/a/x.png", "x.png"]
    assert names("https://h/a/x.png", "https://h/b/X.PNG", "https://h") == ["h/a/x.png", "h/b/X.PNG", "h"]
    assert names("http://h/i.php?n=1", "http://h/i.php?n=2", "http://h/i.php?n=3") == [
        "h/i.php",
        "h/i-2.php",
        "h/i-3.php",
    ]


def test_names_are_unique_where_case_makes_no_difference(here: Path) -> None:
    put("A.jpg", "a.JPG", "a-2.jpg", "d/a.jpg")
    sources, _ = expand(["A.jpg", "a.JPG", "a-2.jpg"])
    assert [source.name for source in sources] == ["A.jpg", "a-2.JPG", "a-2-2.jpg"]
    assert [str(source.location) for source in sources] == ["A.jpg", "a.JPG", "a-2.jpg"]
    put("caf\u00e9.jpg", "cafe\u0301.jpg")
    assert names("caf\u00e9.jpg", "cafe\u0301.jpg") == ["caf\u00e9.jpg", "cafe\u0301-2.jpg"]


def test_no_photo_has_the_name_of_another_ones_overlay(here: Path) -> None:
    put("x.gif", "x.gif.png")
    assert names("x.gif", "x.gif.png") == ["x.gif", "x.gif-2.png"]
    assert names("x.gif.png", "x.gif") == ["x.gif.png", "x-2.gif"]


@pytest.mark.parametrize(
    ("last", "name"),
    [
        ("a%2Fb%5Cc.jpg", "a_b_c.jpg"),
        ("..%2F..%2Fetc", ".._.._etc"),
        ("%2E%2E", "_"),
        ("a%00%0Ab.jpg", "a__b.jpg"),
        ("%3Cq%3E:%22%7C*.jpg", "_q_____.jpg"),
        ("con.jpg", "_con.jpg"),
        ("LPT1", "_LPT1"),
        ("console.jpg", "console.jpg"),
        ("dot.%20", "dot"),
        ("%20", "_"),
        ("%FF.jpg", "\ufffd.jpg"),
        ("\u00e9" * 300 + ".jpg", "\u00e9" * 98 + ".jpg"),
    ],
)
def test_names_are_good_as_file_names(last: str, name: str, tmp_path: Path) -> None:
    assert names(f"http://h/{last}") == [name]
    (tmp_path / name).write_bytes(b"")


def test_local_names_are_made_good_too(here: Path) -> None:
    put("a:b?.jpg", "tab\there.jpg")
    odd = os.fsdecode(b"latin-\xe9.jpg")
    put(odd)
    assert names("a:b?.jpg", "tab\there.jpg", odd) == ["a_b_.jpg", "tab_here.jpg", "latin-_.jpg"]


def test_many_links_of_one_name_are_numbered_quickly() -> None:
    found = names(*[f"http://h/image.php?id={number}" for number in range(20_000)])
    assert found[-1] == "h/image-20000.php"
    assert len(set(found)) == 20_000
