"""The corpus in data/everyday is what its generator writes, and its gold word links are right."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from translator.alignment.links import WordLinks, read_links

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data/everyday"


def load_generator() -> Any:
    path = ROOT / "scripts/make_everyday_corpus.py"
    spec = importlib.util.spec_from_file_location("make_everyday_corpus", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look there for their annotations
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the generator writes."""
    folder = tmp_path_factory.mktemp("everyday")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["make", "--output", str(folder), "--train-links"])
        GENERATOR.main()
    return folder


def read_split(folder: Path, split: str) -> Iterator[tuple[list[str], list[str], WordLinks]]:
    """Words of both sides, without the punctuation at their end, and their links."""
    text = (folder / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
    path = folder / f"{split}.links"
    with path.open(encoding="utf-8") as lines:
        links = read_links(lines, path.name)
    for pair, linked in zip(text, links, strict=True):
        english, german = ([w.rstrip(".,?!") for w in s.split(" ")] for s in pair.split("\t"))
        yield english, german, linked


def test_files_are_those_that_the_generator_writes(written: Path) -> None:
    names = {path.name for path in DATA.iterdir()}
    assert names == {path.name for path in written.iterdir()} - {"train.links"}
    for name in names:
        assert (DATA / name).read_bytes() == (written / name).read_bytes(), name


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_links_are_of_words_that_exist(written: Path, split: str) -> None:
    for english, german, links in read_split(written, split):
        assert links.sure
        assert all(i < len(english) and j < len(german) for i, j in links.possible)


def test_only_these_words_have_no_counterpart(written: Path) -> None:
    unlinked: tuple[set[str], set[str]] = (set(), set())
    for split in ("train", "validation", "test"):
        for english, german, links in read_split(written, split):
            for side, words in enumerate((english, german)):
                linked = {link[side] for link in links.possible}
                unlinked[side].update(w for i, w in enumerate(words) if i not in linked)
    # glass of water, a doctor, play the guitar; Gehen Sie, mit dem Bus, wie ich komme, Es tut mir
    assert unlinked == ({"of", "a", "the"}, {"Sie", "dem", "ich", "Es"})


CHECKED = {  # sure links by hand, in the order of the English words
    "Anna does not like the green coat.": (
        "Anna=Anna does=gefällt not=nicht like=gefällt the=Der green=grüne coat=Mantel"
    ),
    "They do not want to go to work today.": (
        "They=Sie do=wollen not=nicht want=wollen to=wollen go=gehen to=zur work=Arbeit today=heute"
    ),
    "Is there a supermarket behind the library?": (
        "Is=Gibt there=es a=einen supermarket=Supermarkt behind=hinter the=der library=Bibliothek"
    ),
    "Paul drove to Munich two days ago although he was ill.": (
        "Paul=Paul drove=ist drove=gefahren to=nach Munich=München two=zwei days=Tagen ago=vor"
        " although=obwohl he=er was=war ill=krank"
    ),
    "Could you bring me another glass of orange juice, please?": (
        "Could=Könnten you=Sie bring=bringen me=mir another=noch another=ein glass=Glas"
        " orange=Orangensaft juice=Orangensaft please=bitte"
    ),
    "The coat that Laura bought yesterday evening is too expensive.": (
        "The=Der coat=Mantel that=den Laura=Laura bought=gekauft bought=hat yesterday=gestern"
        " evening=Abend is=ist too=zu expensive=teuer"
    ),
    "Put on a warm jacket, Dad, because it is windy.": (
        "Put=Zieh Put=an on=Zieh on=an a=eine warm=warme jacket=Jacke Dad=Papa because=weil it=es"
        " is=ist windy=windig"
    ),
    "My father has no time to learn German.": (
        "My=Mein father=Vater has=hat no=keine time=Zeit to=zu learn=lernen German=Deutsch"
    ),
    "Paul has an appointment with the doctor on Tuesday.": (
        "Paul=Paul has=hat an=einen appointment=Termin with=beim the=beim doctor=Arzt on=am"
        " Tuesday=Dienstag"
    ),
    "The cinema is closed on Thursdays.": (
        "The=Das cinema=Kino is=ist closed=geschlossen on=donnerstags Thursdays=donnerstags"
    ),
    "It is forty minutes to the zoo by car.": (
        "It=es is=sind forty=vierzig minutes=Minuten to=bis to=zum the=zum zoo=Zoo by=Mit car=Auto"
    ),
}


def test_links_are_those_of_an_annotator() -> None:
    found = {}
    for split in ("validation", "test"):
        lines = (DATA / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
        for line, (english, german, links) in zip(lines, read_split(DATA, split), strict=True):
            pairs = (f"{english[i]}={german[j]}" for i, j in sorted(links.sure))
            found[line.split("\t")[0]] = " ".join(pairs)
    assert {sentence: found[sentence] for sentence in CHECKED} == CHECKED


def test_the_hour_after_half_is_a_possible_link() -> None:
    sentences = read_split(DATA, "test")
    english, german, links = next(
        s for s in sentences if " ".join(s[0]).endswith("half past seven")
    )
    unsure = {f"{english[i]}={german[j]}" for i, j in links.possible - links.sure}
    assert unsure == {"past=halb", "seven=acht"}


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ("where = wo", "missing or too many: {'is'}"),
        ("where = wo; is = ist; the = der", "missing or too many: {'the'}"),
        ("where = wo; is = ist; {dish} = wo", "missing or too many: {'{dish}'}"),
    ],
)
def test_links_must_mention_every_fixed_word_and_no_other(links: str, message: str) -> None:
    pattern = GENERATOR.Pattern("Where is the {place}?", "Wo ist {place:der nom}?", links)
    with pytest.raises(ValueError, match=re.escape(message)):
        _ = pattern.marked


def test_a_word_that_occurs_twice_is_mentioned_twice() -> None:
    pattern = GENERATOR.Pattern("For me and for {man}", "Für mich und {man:acc}", "for = für")
    with pytest.raises(ValueError, match="missing or too many"):
        _ = pattern.marked
    links = "for = für; me = mich; and = und"
    pattern = GENERATOR.Pattern("For me and for {man}", "Für mich und {man:acc}", links)
    with pytest.raises(ValueError, match="not mentioned twice"):
        _ = pattern.marked
