"""Files of classes of every kind that people have, and those that hold none."""

import json

import pytest

from maskadapter.errors import VocabularyError
from maskadapter.vocabulary.vocabulary import Vocabulary

CATEGORIES = [{"id": 10, "name": "tv", "supercategory": "x"}, {"id": 2, "name": "dining table"}]


@pytest.mark.parametrize(
    ("name", "content", "classes"),
    [
        ("data.yaml", "path: ../d\ntrain: images\nnc: 2\nnames:\n  0: cat\n  1: wall\n", [("cat",), ("wall",)]),
        ("data.yml", "names: [cat, 'no', yes, \"salt, pepper\"]\n", [("cat",), ("no",), ("yes",), ("salt, pepper",)]),
        ("numbers.yaml", "names: {10: ten, 2: two}\n", [("two",), ("ten",)]),
        ("list.yaml", "- cat\n- sofa|couch\n", [("cat",), ("sofa", "couch")]),
        ("own.yaml", "task: semantic\nclasses: [cat, dog]\n", [("cat",), ("dog",)]),
        ("coco.json", json.dumps({"images": [], "categories": CATEGORIES}), [("dining table",), ("tv",)]),
        ("text_ids.json", '{"categories": [{"id": "3", "name": "c"}, {"id": "1", "name": 7}]}', [("7",), ("c",)]),
        ("no_ids.json", '[{"name": "b"}, {"name": "a"}]', [("b",), ("a",)]),
        ("photo-classes.json", '{"1": "cat", "10": "dog", "2": "wall"}', [("cat",), ("wall",), ("dog",)]),
        ("list.json", '["cat", "sofa|couch", ["tv", "screen"]]', [("cat",), ("sofa", "couch"), ("tv", "screen")]),
        ("a.csv", "id,name\n1,cat\n2,wall\n", [("cat",), ("wall",)]),
        ("b.csv", '\ufeffLabel Name;Index\ncat;1\n"a;b, c";2\n\n', [("cat",), ("a;b, c",)]),
        ("boxes.csv", "filename,class,xmin\na.jpg,cat,1\nb.jpg,dog,2\nc.jpg,cat,3\n", [("cat",), ("dog",)]),
        ("ids.csv", "class,name\n7,cat\n8,dog\n", [("cat",), ("dog",)]),
        ("bare.csv", "0,cat\n1,dog\n", [("cat",), ("dog",)]),
        ("column.csv", "cat\ndog\n", [("cat",), ("dog",)]),
        ("row.csv", "cat, dog, wall\n", [("cat",), ("dog",), ("wall",)]),
        ("info.tsv", "Idx\tRatio\tName\n1\t0.5\twall\n2\t0.1\tsky\n", [("wall",), ("sky",)]),
        ("lines.csv", 'id,name\n1,"two\nlines"\n2,b\n', [("two lines",), ("b",)]),
        ("pipes.csv", "id|name\n1|cat\n2|dog\n", [("cat",), ("dog",)]),
        ("remark.csv", "# of 2026\nid,name\n1,cat\n", [("cat",)]),
        ("old_mac.csv", "id,name\r1,cat\r2,dog\r", [("cat",), ("dog",)]),
        ("euros.txt", "1 euro\n2 euro\n", [("1 euro",), ("2 euro",)]),
        ("obj.names", "person\nbicycle\n", [("person",), ("bicycle",)]),
        (
            "labels.txt",
            "cat\n# no class\nsofa|couch\nwall, floor\n",
            [("cat",), ("sofa", "couch"), ("wall",), ("floor",)],
        ),
        ("classes", "cat\ndog", [("cat",), ("dog",)]),
        ("yaml.txt", "nc: 1\nnames:\n- cat\n", [("cat",)]),
        ("json.txt", '{"0": "cat"}', [("cat",)]),
        ("tabs.txt", "1\tcat\n2\tdog\n", [("cat",), ("dog",)]),
    ],
)
def test_classes_are_read_from(tmp_path, name, content, classes):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert Vocabulary.of(str(tmp_path / name)).classes == tuple(classes)
    assert Vocabulary.of(tmp_path / name).classes == tuple(classes)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.yaml", b"train: images\nval: images\n", "no names of classes"),
        ("number.yaml", b"names: 3\n", "no list of names"),
        ("broken.yaml", b"names: [cat\nval: x", r"not YAML \(line 2\)"),
        ("nested.yaml", b"names:\n  0: {en: cat}\n", "class 1 is .*, which is not a name"),
        ("empty.yaml", b"names: []\n", "no classes"),
        ("endless.yaml", b"names: &a {names: *a}\n", r"not YAML \(line 1\)"),
        ("config.json", b'{"a": 1, "b": "cat"}', "no names of classes"),
        ("null.json", b'["cat", null]', "class 2 is None, which is not a name"),
        ("twice.json", b'[{"id": 3, "name": "a"}, {"id": "3", "name": "b"}]', "two classes of the number 3"),
        ("nameless.json", b'{"categories": [{"id": 3}]}', "entries without a name"),
        ("text.json", b"cat\ndog", "as JSON"),
        ("sizes.csv", b"width,height\n1,2\n3,4\n", "no column of names"),
        ("words.csv", b"a,b\nc,d\n", "no column of names"),
        ("heading.csv", b"id,name\n", "no column of names"),
        ("gap.csv", b"id,name\n1,cat\n2,\n", "row 3 has no name"),
        ("voc.xml", b"<annotation><name>cat</name></annotation>", "not a file of classes"),
        ("voc.txt", b"<annotation><name>cat</name></annotation>", "not a file of classes"),
        ("pyproject.toml", b"name = 'cat'", "not a file of classes"),
        ("photo.png", b"\x89PNG\r\n\x1a\n\0", "not a file of classes"),
        ("zeros.txt", b"cat\0dog", "not a file of classes"),
        ("excel.txt", "cat\ndog".encode("utf-16"), "not UTF-8"),
        ("0001.txt", b"0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.1 0.1\n", "labels of an image"),
        ("twice.yaml", b"names:\n  0: cat\n  0: dog\n", r"has 0 twice \(line 3\)"),
        ("quote.csv", b'id,name\n1,"cat\n2,dog\n', "not a table"),
        ("table.txt", b"id,name\n1,cat\n2,dog\n", "is a table: give it the suffix .csv"),
        ("counted.txt", b"0: cat\n1: dog\n", "numbers its lines"),
        ("counted.names", b"0 cat\n1 dog\n", "numbers its lines"),
        ("points.txt", b"1. cat\n2. dog\n", "numbers its lines"),
        ("app.js", b"let cat = 1", 'a class of that name is written "'),
        ("empty.txt", b"\n", "no classes"),
    ],
)
def test_what_holds_no_classes_is_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(VocabularyError, match=message) as refused:
        Vocabulary.of(str(path))
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_yaml_that_multiplies_itself_is_one_short_line(tmp_path):
    lines = ["a0: &a0 [cat, cat]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30))]
    (tmp_path / "bomb.yaml").write_text("\n".join([*lines, "names: *a29"]))
    with pytest.raises(VocabularyError, match="which is not a name") as refused:
        Vocabulary.of(tmp_path / "bomb.yaml")
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("name", ["node.js", "no.two", "asp.net", "dr. who", "st.bernard", "and/or", "v1.5"])
def test_names_with_a_full_stop_are_names(name):
    assert Vocabulary.of(name).names == (name,)


@pytest.mark.parametrize(
    "text", ["gone.txt", "gone.yaml", "lists/gone.json", "GONE.CSV", "gone.xml", "photo.jpg", "~/gone", "/gone/classes"]
)
def test_a_file_that_does_not_exist_is_one_line(text):
    with pytest.raises(VocabularyError, match="no such file of classes"):
        Vocabulary.of(text)


def test_a_home_folder_is_expanded_and_an_address_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "classes.txt").write_text("cat\ndog")
    assert Vocabulary.of("~/classes.txt").names == ("cat", "dog")
    with pytest.raises(VocabularyError, match=r"https://example\.org/data\.yaml is an address"):
        Vocabulary.of("https://example.org/data.yaml")


def test_a_file_in_this_folder_is_read_and_a_folder_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my, list.txt").write_text("cat\ndog")
    assert Vocabulary.of("my, list.txt").names == ("cat", "dog")
    (tmp_path / "photos").mkdir()
    assert Vocabulary.of("photos").names == ("photos",)
    with pytest.raises(VocabularyError, match="cannot read photos"):
        Vocabulary.of("photos/")
