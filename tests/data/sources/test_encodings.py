"""Text is read in the encoding that it is in, found or given; a wrong one never passes."""

from __future__ import annotations

# ruff: noqa: RUF001 - letters of other scripts are the point
import codecs

import pytest

from tests.data.sources.conftest import Reader
from workbench.core.errors import DataError

WORDS = {
    "cp1252": "Straße,Größe\nMüller,5 €\nHélène,“café”\nNiño,façade\nŒuvre,Ångström\n",
    "cp1250": "imię,nazwisko\nŁukasz,Wiśniewski\nżółw,jaźń\nMałgorzata,Zielińska\n",
    "cp1254": "isim,şehir\nÇağlar,İstanbul\nGökhan,Eskişehir\nIşıl,Muğla\n",
    "cp850": "name,ort\nMüller,Köln\nGroß,für\nJürgen,schön\n",
    "cp1251": "имя,город\nИван,Москва\nОльга,Петербург\nАлексей,Новосибирск\n",
    "koi8-r": "имя,город\nИван,Москва\nОльга,Петербург\nАлексей,Новосибирск\n",
    "cp932": "名前,都市\n山田太郎,東京\n佐藤花子,大阪市\nカタカナ,ひらがな\n",
    "gb18030": "姓名,城市\n张伟,北京市\n王芳,上海\n李娜,广州\n",
    "cp1253": "όνομα,πόλη\nΓιώργος,Αθήνα\nΜαρία,Θεσσαλονίκη\n",
}


def table(text: str) -> list[tuple[str, ...]]:
    return [tuple(line.split(",")) for line in text.splitlines()]


@pytest.mark.parametrize("encoding", WORDS)
def test_the_encoding_is_guessed_and_said(take: Reader, encoding: str) -> None:
    taken = take("x.csv", WORDS[encoding].encode(encoding))
    assert [tuple(taken.columns), *taken.rows] == table(WORDS[encoding])
    assert "is not UTF-8; the text is taken for" in taken.notes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_decides_and_is_no_data(take: Reader, encoding: str) -> None:
    mark = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE}
    begin = mark.get(encoding, codecs.BOM_UTF16_BE)
    taken = take("x.csv", begin + WORDS["cp1252"].encode(encoding))
    assert [tuple(taken.columns), *taken.rows] == table(WORDS["cp1252"])
    assert "byte-order mark" in taken.notes
    skipped = take("y.csv", begin + f"# top\n\n{WORDS['cp1252']}".encode(encoding))
    assert skipped.rows == taken.rows


def test_utf16_without_a_mark_is_found(take: Reader) -> None:
    taken = take("x.csv", "name,town\nAda,London\nLin,Köln\n".encode("utf-16-le"))
    assert taken.rows[1] == ("Lin", "Köln")


def test_an_accent_after_megabytes_of_ascii_is_still_seen(take: Reader) -> None:
    rows = "".join(f"{n},{'x' * 90}\n" for n in range(60_000))
    taken = take("x.csv", f"a,b\n{rows}1,Köln\n".encode("cp1252"))
    assert taken.rows[-1] == ("1", "Köln")
    assert "Line 60002 is not UTF-8" in taken.notes


def test_a_character_over_the_border_of_two_pieces_is_utf8(take: Reader) -> None:
    for shift in range(3):
        text = "a,b\n" + "y" * shift + ("x" * 97 + "€\n") * 45_000
        text = text.replace("€\n", ",€\n")
        assert take(f"x{shift}.csv", text).recipe.encoding == "utf-8"


def test_an_encoding_that_a_person_gives_is_followed(take: Reader) -> None:
    taken = take(
        "x.csv", "name,town\nM\u00fcller,K\u00f6ln\n".encode("mac_roman"), encoding="macroman"
    )
    assert taken.rows == [("Müller", "Köln")]


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-8", r"is not utf-8: line 2 holds bytes .*[\s\S]*--encoding cp1252"),
        ("ascii", "is not ascii: line 2"),
        ("utf-16", "is not utf-16"),
        ("shift_jis", "is not shift_jis"),
        ("cp1225", "no encoding 'cp1225'"),
        ("base64", "no encoding 'base64'"),
    ],
)
def test_a_wrong_encoding_is_refused_with_a_way_out(
    take: Reader, encoding: str, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        take("x.csv", "name,town\nMüller,5 € für Köln\n".encode("cp1252"), encoding=encoding)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le"])
def test_utf8_is_never_read_as_something_else(take: Reader, encoding: str) -> None:
    with pytest.raises(DataError, match="is UTF-8 throughout"):
        take("x.csv", "name,town\nMüller,Köln\n", encoding=encoding)


def test_a_mark_against_the_given_encoding_is_said(take: Reader) -> None:
    with pytest.raises(DataError, match="byte-order mark of utf-16, so it is not cp1252"):
        take("x.csv", "a,b\n1,2\n".encode("utf-16"), encoding="cp1252")


def test_a_nul_byte_is_named_by_its_line(take: Reader) -> None:
    with pytest.raises(DataError, match="NUL byte in line 3"):
        take("x.csv", b"a,b\n1,2\n3,\x004\n")
    with pytest.raises(DataError, match="NUL byte in line 2"):
        take("y.csv", b"a,b\n\xfc\xfc\xff,\x00\n")


def test_a_file_cut_within_a_character_is_not_utf8(take: Reader) -> None:
    with pytest.raises(DataError, match="line 2 holds bytes"):
        take("x.csv", "a,b\n1,€".encode()[:-1], encoding="utf-8")
