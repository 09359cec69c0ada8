"""Markdown tables: padded columns, alignment, escaped bars."""

import pytest

from maskadapter.system.markdown_table import markdown_table


def test_columns_are_padded_and_aligned():
    assert markdown_table(["metric", "%", "mid"], [["mIoU", "9.50", "a"], ["a|b", "", "bcdef"]], "lrc") == [
        "| metric |    % |  mid  |",
        "| ------ | ---: | :---: |",
        "| mIoU   | 9.50 |   a   |",
        r"| a\|b   |      | bcdef |",
    ]


def test_without_rows_and_alignment():
    assert markdown_table(["", "a"], []) == ["|     | a   |", "| --- | --- |"]


def test_a_last_column_of_sentences_is_not_padded():
    assert markdown_table(["name", "fact"], [["one", "1"], ["two", "a long sentence"]]) == [
        "| name | fact |",
        "| ---- | --- |",
        "| one  | 1   |",
        "| two  | a long sentence |",
    ]


def test_rows_need_as_many_texts_as_the_header():
    with pytest.raises(ValueError, match="zip"):
        markdown_table(["a", "b"], [["1"]])
