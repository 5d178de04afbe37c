from mrpose_cli.formats.ids import image_ids, numeric_id


def test_coco_file_names_carry_their_id() -> None:
    assert numeric_id("000000000139.jpg") == 139
    assert numeric_id("val2017/000000000139.jpg") == 139
    assert numeric_id("COCO_val2014_000000000042.jpg") == 42
    assert numeric_id("IMG_1234.jpg") is None
    assert numeric_id("12a.jpg") is None


def test_other_names_are_counted_around_them() -> None:
    ids = image_ids(["b.jpg", "000000000002.jpg", "a.jpg", "1.png"])
    assert ids == {"b.jpg": 3, "000000000002.jpg": 2, "a.jpg": 4, "1.png": 1}


def test_a_number_is_given_once() -> None:
    ids = image_ids(["x/7.jpg", "y/7.jpg"])
    assert ids["x/7.jpg"] == 7
    assert ids["y/7.jpg"] != 7


def test_known_ids_come_first() -> None:
    assert image_ids(["5.jpg", "a.jpg", "b.jpg"], {"a.jpg": 5}) == {"a.jpg": 5, "5.jpg": 1, "b.jpg": 2}
