"""Rows are found, tagged and exported from a shell as from Python, and a query is never executed."""

from __future__ import annotations

import polars as pl
import pytest

import encord_active_widgets as ea


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ("sharpness < 0.69", pl.col("sharpness") < 0.69),
        ('pl.col("sharpness") < 0.69', pl.col("sharpness") < 0.69),
        (
            'ea.has(pl.col("class_name") == "WBC") & (pl.col("object_count") > 12)',
            ea.has(pl.col("class_name") == "WBC") & (pl.col("object_count") > 12),
        ),
    ],
)
def test_a_query_gives_the_ids_that_python_gives(eaw, project, text, expr):
    expected = project.filter(expr).ids.to_list()
    assert 0 < len(expected) < len(project)
    assert eaw("query", text, "--ids").stdout.split() == expected
    assert eaw("query", text, "--ids", "--json").json == expected
    assert eaw("query", text, "--count").stdout.strip() == str(len(expected))
    assert [row["item_id"] for row in eaw("query", text, "--json").json] == expected


def test_rows_are_sorted_limited_and_reduced_to_columns(eaw, project):
    words = (
        "query",
        "--level",
        "object",
        "--sort",
        "area",
        "--descending",
        "--limit",
        3,
        "--columns",
        "class_name,area",
    )
    rows = eaw(*words, "--json").json
    assert rows == project.objects.sort("area", descending=True).head(3).df.select("class_name", "area").to_dicts()
    table = eaw(*words)
    assert "class_name" in table.stdout
    assert table.stderr.strip() == "3 rows."
    assert len(eaw("query", "--level", "prediction:own", "--json", "--columns", "confidence").json) > 600
    assert eaw("query", "--text", "00003", "--count").stdout.strip() == "1"


@pytest.mark.parametrize(
    "text",
    [
        '__import__("os").system("touch marker")',
        'pl.col("w") == __import__("os").system("touch marker")',
        'pl.col("uri").map_elements(lambda u: open("marker", "w").write("x"))',
        'pl.col("uri").pipe(print)',
        'pl.col("w").__class__.__base__.__subclasses__()',
        '[open("marker", "w") for _ in pl.col("w")]',
        'pl.read_csv("/etc/passwd")',
        'width IN (SELECT a FROM read_csv("/etc/passwd"))',
        'pl.sql_expr("width IN (SELECT 1)")',
        '9**9**9**9 > pl.col("w")',
    ],
)
def test_a_malicious_query_is_refused_and_does_nothing(eaw, project, tmp_path, text):
    for words in (("query", text), ("tag", "owned", "--query", text), ("export", "csv", "x.csv", "--query", text)):
        done = eaw(*words)
        assert done.code == 2
        assert done.stdout == ""
        assert done.stderr.startswith("Error: ")
        assert "root:" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cells.eaw"]
    assert ea.open(project.path).tags.height == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("query", "sharpnes < 0.5"), 'Did you mean "sharpness"?'),
        (("query", "uri < 3"), "cannot be answered"),
        (("query", "sharpness <"), "cannot be read"),
        (("query", 'pl.col("sharpness") < 1 and pl.col("width") > 2'), "Write & and |"),
        (("query", "--level", "objet"), 'Did you mean "object"?'),
        (("query", "--level", "prediction:won"), 'Did you mean "own"?'),
        (("query", "--columns", "urii"), 'Did you mean "uri"?'),
        (("query", "--sort", "sharpnes"), 'Did you mean "sharpness"?'),
        (("tag", "x"), "No rows are named."),
        (("tag", " ", "--all"), "cannot be a tag"),
        (("tag", "x", "--ids", "missing.txt"), "No such file"),
        (("untag", "never", "--all"), 'There is no tag "never".'),
        (("export", "csv", "x.csv", "--images", "copy"), "--images says nothing of csv."),
        (("export", "coco", "x.json", "--predictions", "own"), "--predictions says nothing of coco."),
        (("export", "bogus", "x"), "bogus"),
    ],
)
def test_wrong_words_are_told_with_a_remedy(eaw, project, words, said):
    done = eaw(*words)
    assert done.code == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_tags_go_on_and_off_as_edits_of_the_one_history(eaw, project, tmp_path):
    assert eaw("tag", "a", "b", "--query", "sharpness < 0.69", "--json").json["tagged"] == len(
        project.filter(pl.col("sharpness") < 0.69)
    )
    some = project.filter(ea.tagged("a", "b")).ids
    (tmp_path / "ids.txt").write_text("\n".join(some.head(2)))
    assert eaw("untag", "a", "--ids", "ids.txt").stdout == "2 items untagged: a\n"
    assert eaw("untag", "b", "--ids", "-", stdin=f"{some[0]}\n").code == 0
    fresh = ea.open(project.path)
    assert len(fresh.filter(ea.tagged("a"))) == len(some) - 2
    assert len(fresh.filter(ea.tagged("b"))) == len(some) - 1
    assert eaw("undo", "2", "--json").json["undone"]
    assert len(ea.open(project.path).filter(ea.tagged("a"))) == len(some)
    assert eaw("tag", "c", "--query", "sharpness < 0.69", "--ids", "ids.txt").stdout == "2 items tagged: c\n"
    unknown = eaw("tag", "d", "--ids", "-", stdin="no-such-id\n")
    assert unknown.code == 2
    assert eaw("history", "--json").json[-1]["kind"] == "tag"


@pytest.mark.parametrize("kind", ["coco", "voc", "csv", "parquet", "label-studio", "cvat", "lists"])
def test_every_format_is_written_for_the_rows_of_a_query(eaw, project, tmp_path, kind):
    suffix = {"coco": ".json", "csv": ".csv", "parquet": ".parquet", "label-studio": ".json", "cvat": ".xml"}
    target = tmp_path / f"out{suffix.get(kind, '')}"
    verified = [] if kind == "lists" else ["--verify"]
    done = eaw("export", kind, target, "--query", "sharpness < 0.69", "--json", *verified)
    assert done.code == 0, done.stderr
    assert done.json["items"] == len(project.filter(pl.col("sharpness") < 0.69))
    assert done.json["verified"] == bool(verified)
    assert target.exists()


def test_objects_are_exported_as_rows(eaw, project, tmp_path):
    done = eaw("export", "parquet", tmp_path / "o.parquet", "--level", "object", "--query", "class_name = 'WBC'")
    assert done.code == 0
    assert pl.read_parquet(tmp_path / "o.parquet")["class_name"].unique().to_list() == ["WBC"]
