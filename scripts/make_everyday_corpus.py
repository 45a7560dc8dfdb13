"""Generate a small synthetic English-German corpus of everyday sentences.

    python scripts/make_everyday_corpus.py [--output data/everyday] [--seed 1]

The corpus is written by a bilingual grammar: a phrase book of sentence patterns whose slots are
filled from word tables.  A pattern is a pair of lines such as

    Which {garment} would you like, {titled}?
    {garment:welch acc} möchten Sie, {titled:nom}?

``{slot:form}`` stands for a word of the table ``slot`` in the given form; ``{slot2}`` is another,
different word of the same table; ``{left+slot:form}`` is a word that agrees with the word on its
left (an adjective or number with its noun, a verb with its subject).  Names that are no table,
such as ``need`` in ``{who+need}``, are fixed words of the ``LEXICON``.  German word order is
spelled out by the patterns themselves.

Every pair has gold word links: which English word translates which German word.  The fillers of a
slot are linked to each other, and an article before a slot to the German article inside it.  For
the fixed words, links follow the two lines of a pattern:

    would like = möchten; you = Sie

Each word on the left is linked to each word on the right; ``?=`` makes a link that is possible but
not sure, and a side may be empty for words without a counterpart.  Every fixed word must be
mentioned; a word that occurs twice is mentioned twice, in the order of the line.  ``{chore:aux}``
stands for words of a slot (``{chore}`` without a part: for its unmarked words).

Inside an entry, words are linked by marks: in "go 1_to 1_the 2_cinema = 1_ins 2_Kino gehen", words
with the same mark belong together, and so do the words without a mark.  ``?`` in a mark makes the
link unsure, and a mark that the other language lacks leaves the word without a link.  A word can
have several marks; in "aux__went" the second one is empty, so that the word is linked as one
without a mark too.  The classes below add the marks ``the`` (determiners), ``adj``, ``aux`` and
``finite`` (verbs), ``to`` (German "zu"), ``pronoun`` and ``relative``.  Marks are removed when the
sentence is made.

English "you" is German "du" exactly when the sentence addresses someone by first name or by an
endearment such as "Mum", and "Sie" otherwise.  English determines German: no source sentence has
two translations.

The validation and test splits hold slot combinations that never occur in the training split, and
a part of the test split comes from patterns that are kept out of training altogether.
"""

from __future__ import annotations

import argparse
import math
import random
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

TRAIN_SIZE = 9000
VALIDATION_SIZE = 400
TEST_SIZE = 500
HELD_OUT_PER_PATTERN = 8
MIN_TRAIN_COUNT = 5  # how often every word of the other splits occurs in train

# --------------------------------------------------------------------------------------
# English morphology
# --------------------------------------------------------------------------------------

ENGLISH_BE = {"ich": "am", "er": "is"}
ENGLISH_MODALS = {"can", "should", "would"}
ENGLISH_PAST = {  # verb: simple past, past participle
    "do": ("did", "done"),
    "drive": ("drove", "driven"),
    "feed": ("fed", "fed"),
    "fly": ("flew", "flown"),
    "go": ("went", "gone"),
    "pay": ("paid", "paid"),
    "read": ("read", "read"),
    "swim": ("swam", "swum"),
    "write": ("wrote", "written"),
}


def ends_in_consonant_y(word: str) -> bool:
    return word.endswith("y") and word[-2] not in "aeiou"


def english_s(word: str) -> str:
    """The third person singular of a verb or the plural of a noun."""
    if word == "have":
        return "has"
    if word in ENGLISH_MODALS:
        return word
    if ends_in_consonant_y(word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"([sx]|[cs]h|[gd]o)$", word) else "s")


def english_ing(verb: str) -> str:
    if verb == "swim":
        return "swimming"
    return verb.removesuffix("e") + "ing"


def english_past(verb: str, *, participle: bool = False) -> str:
    if verb in ENGLISH_PAST:
        return ENGLISH_PAST[verb][participle]
    if ends_in_consonant_y(verb):
        return verb[:-1] + "ied"
    return verb + ("d" if verb.endswith("e") else "ed")


def polish_english(text: str) -> str:
    """Choose between "a" and "an" and capitalise the sentence."""
    text = re.sub(r"\b(a|A)(?= [aeiou])", r"\1n", text)
    return text[0].upper() + text[1:]


# --------------------------------------------------------------------------------------
# German morphology
# --------------------------------------------------------------------------------------

GENDERS = ("m", "f", "n", "pl")
ARTICLE_GENDER = {"der": "m", "die": "f", "das": "n"}

# Endings by case, in the order of GENDERS; "-" is the empty ending.
STRONG = {"nom": "er e es e", "acc": "en e es e", "dat": "em er em en"}
WEAK = {"nom": "e e e en", "acc": "en e e en", "dat": "en en en en"}
MIXED = {"nom": "er e es en", "acc": "en e es en", "dat": "en en en en"}
EIN_WORDS = {"nom": "- e - e", "acc": "en e - e", "dat": "em er em en"}
DEFINITE = {"nom": "der die das die", "acc": "den die das die", "dat": "dem der dem den"}
PRONOUNS = {"m": "er", "f": "sie", "n": "es", "pl": "sie"}

ATTRIBUTIVE_STEM = {"teuer": "teur"}
CONTRACTIONS = {
    "an dem": "am",
    "bei dem": "beim",
    "in dem": "im",
    "von dem": "vom",
    "zu dem": "zum",
    "zu der": "zur",
}

GERMAN_PRESENT = {  # ich, er, and the plural, which is alike for all persons
    "sein": ("bin", "ist", "sind"),
    "haben": ("habe", "hat", "haben"),
    "werden": ("werde", "wird", "werden"),
    "wissen": ("weiß", "weiß", "wissen"),
    "können": ("kann", "kann", "können"),
    "müssen": ("muss", "muss", "müssen"),
    "wollen": ("will", "will", "wollen"),
    "sollten": ("sollte", "sollte", "sollten"),
    "möchten": ("möchte", "möchte", "möchten"),
    "würden": ("würde", "würde", "würden"),
}
GERMAN_CHANGED_STEM = {  # in the third person singular
    "essen": "iss",
    "fahren": "fähr",
    "helfen": "hilf",
    "lesen": "lies",
    "sehen": "sieh",
    "waschen": "wäsch",
}
GERMAN_PARTICIPLE = {
    "backen": "gebacken",
    "bleiben": "geblieben",
    "fahren": "gefahren",
    "fliegen": "geflogen",
    "gehen": "gegangen",
    "gießen": "gegossen",
    "lesen": "gelesen",
    "rufen": "gerufen",
    "schreiben": "geschrieben",
    "schwimmen": "geschwommen",
    "sehen": "gesehen",
    "waschen": "gewaschen",
}
GERMAN_MOTION = {"bleiben", "fahren", "fliegen", "gehen", "schwimmen"}  # perfect with "sein"


def column(table: dict[str, str], case: str, gender: str) -> str:
    ending = table[case].split()[GENDERS.index(gender)]
    return "" if ending == "-" else ending


def german_determiner(stem: str, case: str, gender: str) -> str:
    """Decline "der", "dies", "welch" or an ein-word; "-" and plural "ein" are no article."""
    if stem == "-" or (stem == "ein" and gender == "pl"):
        return ""
    if stem == "der":
        return column(DEFINITE, case, gender)
    endings = STRONG if stem in {"dies", "welch"} else EIN_WORDS
    return stem + column(endings, case, gender)


def german_adjective(word: str, determiner: str, case: str, gender: str) -> str:
    """Decline an attributive adjective as the determiner before it demands."""
    if determiner in {"der", "dies", "welch"}:
        endings = WEAK
    elif determiner == "-" or (determiner == "ein" and gender == "pl"):
        endings = STRONG
    else:
        endings = MIXED
    return ATTRIBUTIVE_STEM.get(word, word) + column(endings, case, gender)


def german_stem(infinitive: str) -> str:
    return infinitive[: -2 if infinitive.endswith("en") else -1]


def linking_e(stem: str) -> str:
    """Stems such as arbeit- and regn- take "e" before "t"."""
    return "e" if re.search(r"([td]|[^aeiouäöühlrmn]n)$", stem) else ""


def german_present(infinitive: str, person: str) -> str:
    if infinitive in GERMAN_PRESENT:
        first, third, plural = GERMAN_PRESENT[infinitive]
        return {"ich": first, "er": third}.get(person, plural)
    stem = german_stem(infinitive)
    match person:
        case "ich":
            return stem + "e"
        case "er":
            return GERMAN_CHANGED_STEM.get(infinitive, stem) + linking_e(stem) + "t"
        case _:
            return infinitive


def german_participle(infinitive: str) -> str:
    if infinitive in GERMAN_PARTICIPLE:
        return GERMAN_PARTICIPLE[infinitive]
    stem = german_stem(infinitive)
    prefix = "" if re.match(r"be|ver|er", stem) or stem.endswith("ier") else "ge"
    return prefix + stem + linking_e(stem) + "t"


def polish_german(text: str) -> str:
    """Capitalise the sentence."""
    return text[0].upper() + text[1:]


# --------------------------------------------------------------------------------------
# Dictionary entries
# --------------------------------------------------------------------------------------


class Entry(ABC):
    """A word or phrase that can be written in both languages.

    ``form`` selects an inflected form; ``left`` is the word it agrees with, if any.
    """

    @abstractmethod
    def english(self, form: str, left: Entry | None) -> str: ...

    @abstractmethod
    def german(self, form: str, left: Entry | None) -> str: ...


@dataclass(frozen=True)
class Phrase(Entry):
    """An uninflected expression."""

    en: str
    de: str

    def english(self, form: str, left: Entry | None) -> str:
        return self.en

    def german(self, form: str, left: Entry | None) -> str:
        return self.de


@dataclass(frozen=True)
class Weekday(Phrase):
    """A day; the form ``habitual`` is German "montags" for "on Mondays"."""

    def german(self, form: str, left: Entry | None) -> str:
        return self.de.lower() + "s" if form == "habitual" else self.de


@dataclass(frozen=True)
class Adjective(Phrase):
    """An adjective used alone; beside a noun, the noun declines it."""


@dataclass(frozen=True)
class Number(Phrase):
    """A cardinal number, which puts the noun on its right into the singular or plural."""

    value: int


@dataclass(frozen=True)
class Person(Entry):
    """A subject or object; ``like`` is the pronoun that stands for a noun or name."""

    en: str
    en_object: str
    cases: dict[str, str]
    verb_form: str = ""
    possessive: tuple[str, str] = ("", "")
    like: Person | None = None

    @property
    def pronoun(self) -> Person:
        return self.like or self

    def english(self, form: str, left: Entry | None) -> str:
        match form:
            case "object":
                return self.en_object
            case "pronoun":
                return f"pronoun_{self.pronoun.en}"
            case _:
                return self.en

    def german(self, form: str, left: Entry | None) -> str:
        return f"pronoun_{self.pronoun.cases['nom']}" if form == "pronoun" else self.cases[form]


@dataclass(frozen=True)
class Noun(Entry):
    """A noun with its gender.

    German forms are "determiner case [pl]", as in ``{dish:ein acc}``; ``poss case`` takes the
    possessive of the person on the left, ``case`` alone counts with the number on the left,
    ``pronoun`` is the pronoun for the noun, ``relative`` the relative pronoun in the accusative
    and ``bare`` the noun on its own.
    """

    en: str
    de: str
    gender: str
    en_plural: str
    de_plural: str

    def english(self, form: str, left: Entry | None) -> str:
        match left:
            case Person():
                return f"the_{left.pronoun.possessive[0]} {self.en}"
            case Number():
                return f"the_{left.en} {self.en if left.value == 1 else self.en_plural}"
        noun = self.en_plural if form == "pl" else self.en
        return f"adj_{left.en} {noun}" if isinstance(left, Adjective) else noun

    def german(self, form: str, left: Entry | None) -> str:
        if form == "bare":
            return self.de
        if form == "pronoun":
            return f"pronoun_{PRONOUNS[self.gender]}"
        if form == "relative":
            return f"relative_{column(DEFINITE, 'acc', self.gender)}"
        if isinstance(left, Number):
            return self.counted(left, form)
        determiner, case, *plural = form.split()
        gender = "pl" if plural else self.gender
        words = [self.de_plural if plural else self.de]
        if isinstance(left, Person):
            determiner = left.pronoun.possessive[1]
        elif isinstance(left, Adjective):
            words.insert(0, f"adj_{german_adjective(left.de, determiner, case, gender)}")
        if article := german_determiner(determiner, case, gender):
            words.insert(0, f"the_{article}")
        return " ".join(words)

    def counted(self, number: Number, case: str) -> str:
        if number.value == 1:
            return self.german(f"ein {case}", None)
        return f"the_{number.de} {self.de_plural}"


@dataclass(frozen=True)
class Job(Entry):
    """A profession, in German with the gender of the person on the left."""

    en: str
    masculine: str
    feminine: str

    def english(self, form: str, left: Entry | None) -> str:
        return self.en

    def german(self, form: str, left: Entry | None) -> str:
        assert isinstance(left, Person)
        return self.feminine if left.pronoun is SHE else self.masculine


@dataclass(frozen=True)
class Activity(Entry):
    """A verb with its objects, as "tidy the kitchen" and "die Küche auf|räumen".

    The bar marks a separable prefix.  A verb with a subject on its left is finite.  An English past
    is linked to the German auxiliary too.
    """

    en: str
    de: str

    def english(self, form: str, left: Entry | None) -> str:
        verb, _, rest = self.en.partition(" ")
        match form:
            case "ing":
                verb = english_ing(verb)
            case "past":
                verb = f"aux__{self.english_past(verb, left)}"
            case "done":
                verb = english_past(verb, participle=True)
            case _ if isinstance(left, Person):
                verb = self.english_present(verb, left.pronoun.verb_form)
        return f"{verb} {rest}".strip()

    @staticmethod
    def english_past(verb: str, left: Entry | None) -> str:
        if verb == "be" and isinstance(left, Person):
            return "was" if left.pronoun.verb_form in {"ich", "er"} else "were"
        return english_past(verb)

    @staticmethod
    def english_present(verb: str, person: str) -> str:
        if verb == "be":
            return ENGLISH_BE.get(person, "are")
        return english_s(verb) if person == "er" else verb

    def german(self, form: str, left: Entry | None) -> str:
        objects, _, word = self.de.rpartition(" ")
        prefix, _, verb = word.rpartition("|")
        if isinstance(left, Person):
            return self.german_finite(form, left.pronoun.verb_form, prefix, verb)
        match form:
            case "objects":
                return objects
            case "prefix":
                return prefix
            case "rest":
                return f"{objects} {prefix}".strip()
            case "verb":
                return prefix + verb
            case "inf":
                return f"{objects} {prefix}{verb}".strip()
            case "zu":
                zu = f"to__{prefix}zu{verb}" if prefix else f"to_zu {verb}"
                return f"{objects} {zu}".strip()
            case "participle":
                return prefix + german_participle(verb)
            case "done":
                return f"{objects} {prefix}{german_participle(verb)}".strip()
            case _:
                raise ValueError(f"no German form {form!r} of {self.de!r}")

    @staticmethod
    def german_finite(form: str, person: str, prefix: str, verb: str) -> str:
        """The finite verb: main clause, ``final`` (subordinate clause), ``aux`` or ``past``."""
        match form:
            case "final":
                return f"finite__{prefix}{german_present(verb, person)}"
            case "aux":
                auxiliary = "sein" if verb in GERMAN_MOTION else "haben"
                return f"aux_{german_present(auxiliary, person)}"
            case "past":  # only of "sein"
                return "war" + ("en" if person in {"wir", "sie"} else "")
            case _:
                return f"finite__{german_present(verb, person)}"


# --------------------------------------------------------------------------------------
# Word tables: "english = german", separated by semicolons, with marks where words are not linked
# in order
# --------------------------------------------------------------------------------------


def rows(text: str) -> Iterator[tuple[str, str]]:
    for row in " ".join(text.split()).split(";"):
        english, german = row.split("=")
        yield english.strip(), german.strip()


def marked_in_order(english: str, german: str) -> tuple[str, str]:
    """Mark the first unmarked word of both texts as linked, the second, and so on."""
    en, de = english.split(), german.split()
    unmarked = [[i for i, word in enumerate(side) if "_" not in word] for side in (en, de)]
    if len(unmarked[0]) != len(unmarked[1]):
        raise ValueError(f"marks are missing: {english} = {german}")
    for number, (i, j) in enumerate(zip(*unmarked, strict=True)):
        en[i], de[j] = f"w{number}_{en[i]}", f"w{number}_{de[j]}"
    return " ".join(en), " ".join(de)


def phrase(english: str, german: str) -> Phrase:
    """Words are linked in order, and all of them to a single word of the other language."""
    if " " in english and " " in german:
        return Phrase(*marked_in_order(english, german))
    return Phrase(english, german)


def phrases(text: str) -> tuple[Phrase, ...]:
    return tuple(phrase(en, de) for en, de in rows(text))


def adjectives(text: str) -> tuple[Adjective, ...]:
    return tuple(Adjective(en, de) for en, de in rows(text))


def activities(text: str) -> tuple[Activity, ...]:
    """Objects without marks are linked in order.

    Without a German object, all English words are linked to the verb.
    """

    def parse(english: str, german: str) -> Activity:
        verb, _, rest = english.partition(" ")
        objects, _, german_verb = german.rpartition(" ")
        if objects and not re.search(r"\d_", german):
            rest, objects = marked_in_order(rest, objects)
        return Activity(f"{verb} {rest}".strip(), f"{objects} {german_verb}".strip())

    return tuple(parse(en, de) for en, de in rows(text))


def nouns(text: str) -> tuple[Noun, ...]:
    """Rows such as "bus = der Bus", or "bus/buses = der Bus/Busse" where plurals are used."""

    def parse(english: str, german: str) -> Noun:
        en, _, en_plural = english.partition("/")
        article, _, word = german.partition(" ")
        de, _, de_plural = word.partition("/")
        return Noun(en, de, ARTICLE_GENDER[article], en_plural, de_plural)

    return tuple(parse(en, de) for en, de in rows(text))


# People ---------------------------------------------------------------------------------


def pronoun(english: str, german: str, verb_form: str) -> Person:
    subject, object_, my = english.split()
    nom, acc, dat, mein = german.split()
    return Person(subject, object_, {"nom": nom, "acc": acc, "dat": dat}, verb_form, (my, mein))


ME = pronoun("I me my", "ich mich mir mein", "ich")
HE = pronoun("he him his", "er ihn ihm sein", "er")
SHE = pronoun("she her her", "sie sie ihr ihr", "er")
WE = pronoun("we us our", "wir uns uns unser", "wir")
THEY = pronoun("they them their", "sie sie ihnen ihr", "sie")


def named(names: str, like: Person) -> tuple[Person, ...]:
    return tuple(
        Person(n, n, dict.fromkeys(("nom", "acc", "dat"), n), like=like) for n in names.split()
    )


def titled(surname: str) -> Iterator[Person]:
    cases = {"nom": f"1_Herr {surname}", "acc": f"1_Herrn {surname}", "dat": f"1_Herrn {surname}"}
    yield Person(f"1_Mr {surname}", f"1_Mr {surname}", cases, like=HE)
    cases = dict.fromkeys(cases, f"1_Frau {surname}")
    yield Person(f"1_Mrs {surname}", f"1_Mrs {surname}", cases, like=SHE)


def relative(noun: Noun) -> Person:
    """A member of my family as a person."""
    cases = {case: noun.german(f"mein {case}", None) for case in ("nom", "acc", "dat")}
    english = f"the_my {noun.en}"
    return Person(english, english, cases, like=HE if noun.gender == "m" else SHE)


def relatives(plural: str, german: str, dative: str) -> Person:
    cases = {
        "nom": f"the_meine {german}",
        "acc": f"the_meine {german}",
        "dat": f"the_meinen {dative}",
    }
    return Person(f"the_my {plural}", f"the_my {plural}", cases, like=THEY)


WOMEN = named("Anna Laura Maria", SHE)
MEN = named("Felix Paul Peter", HE)
KIN_WOMEN = nouns(
    """mother = die Mutter; sister/sisters = die Schwester/Schwestern;
    daughter/daughters = die Tochter/Töchter; aunt/aunts = die Tante/Tanten;
    grandmother = die Großmutter"""
)
KIN_MEN = nouns(
    """father = der Vater; brother/brothers = der Bruder/Brüder; son/sons = der Sohn/Söhne;
    uncle/uncles = der Onkel/Onkel; grandfather = der Großvater"""
)
KIN = KIN_WOMEN + KIN_MEN
RELATIVES = tuple(relative(noun) for noun in KIN_WOMEN[:2] + KIN_MEN[:2])
MANY = (
    relatives("parents", "Eltern", "Eltern"),
    relatives("children", "Kinder", "Kindern"),
)
PRONOUN_PERSONS = (ME, HE, SHE, WE, THEY)

# Activities -----------------------------------------------------------------------------

CHORES = activities(  # with a definite object: German "nicht" follows it
    """wash the car = das Auto waschen; tidy the kitchen = die Küche auf|räumen;
    water the flowers = die Blumen gießen; repair the bicycle = das Fahrrad reparieren;
    feed the cat = die Katze füttern; do the homework = die Hausaufgaben machen;
    pay the bill = die Rechnung bezahlen; cook the dinner = das Abendessen kochen;
    call the doctor = den Arzt an|rufen; pick up 1_the 2_children = 1_die 2_Kinder ab|holen"""
)
OUTINGS = activities(  # with a place: German "nicht" precedes it
    """stay at home = zu Hause bleiben; go 1_to 1_the 2_cinema = 1_ins 2_Kino gehen;
    go 1_to 1_the 2_doctor = 1_zum 2_Arzt gehen; go to work = zur Arbeit gehen;
    drive to Munich = nach München fahren; fly to Vienna = nach Wien fliegen;
    swim 1_in 1_the 2_lake = 1_im 2_See schwimmen;
    work 1_in 1_the 2_garden = 1_im 2_Garten arbeiten"""
)
HOBBIES = activities(
    """play football = Fußball spielen; bake a cake = einen Kuchen backen;
    watch a film = einen Film sehen; play 0_the 1_guitar = 1_Gitarre spielen;
    learn German = Deutsch lernen; listen to 1_music = 1_Musik hören; read a book = ein Buch lesen;
    write a letter = einen Brief schreiben; work = arbeiten"""
)

# Numbers and times ----------------------------------------------------------------------

NUMBERS = {
    value: Number(en, de, value)
    for value, (en, de) in zip(
        (*range(1, 13), 15, 20, 25, 30, 40, 50, 60, 80, 100),
        rows(
            """one = eins; two = zwei; three = drei; four = vier; five = fünf; six = sechs;
            seven = sieben; eight = acht; nine = neun; ten = zehn; eleven = elf; twelve = zwölf;
            fifteen = fünfzehn; twenty = zwanzig; twenty-five = fünfundzwanzig; thirty = dreißig;
            forty = vierzig; fifty = fünfzig; sixty = sechzig; eighty = achtzig;
            one hundred = hundert"""
        ),
        strict=True,
    )
}


def numbers(values: Iterable[int]) -> tuple[Number, ...]:
    return tuple(NUMBERS[value] for value in values)


def clock_times() -> Iterator[Phrase]:
    """The full hour, the half and quarters, and minutes past and to the hour."""
    for hour in range(1, 13):
        this, following = NUMBERS[hour], NUMBERS[hour % 12 + 1]
        yield phrase(f"{this.en} o'clock", f"{'ein' if hour == 1 else this.de} Uhr")
        # "half past three" is "halb vier", half of the fourth hour
        yield Phrase(f"1_half 1?_past 2?_{this.en}", f"1_halb 2_{following.de}")
        for en, de in (("quarter", "Viertel"), *((NUMBERS[m].en, NUMBERS[m].de) for m in (5, 10))):
            yield phrase(f"{en} past {this.en}", f"{de} nach {this.de}")
            yield phrase(f"{en} to {following.en}", f"{de} vor {following.de}")


def sums() -> Iterator[Phrase]:
    for first, a in NUMBERS.items():
        for second, b in NUMBERS.items():
            if total := NUMBERS.get(first + second):
                en_total = total.en.replace("one hundred", "1_one 1_hundred")
                de_total = total.de.replace("hundert", "1_hundert")
                yield phrase(
                    f"{a.en} plus {b.en} is {en_total}", f"{a.de} plus {b.de} ist {de_total}"
                )


DAYS = tuple(
    Weekday(en, de)
    for en, de in rows(
        """Monday = Montag; Tuesday = Dienstag; Wednesday = Mittwoch; Thursday = Donnerstag;
        Friday = Freitag; Saturday = Samstag; Sunday = Sonntag"""
    )
)
ORDINALS = phrases(  # German without the ending
    """first = erst; second = zweit; third = dritt; fourth = viert; fifth = fünft; sixth = sechst;
    seventh = siebt; eighth = acht; ninth = neunt; tenth = zehnt; twentieth = zwanzigst"""
)
ON_DAYS = tuple(phrase(f"on {day.en}", f"am {day.de}") for day in DAYS)
PAST_TIMES = ON_DAYS[:3] + phrases(
    """yesterday = gestern; yesterday evening = gestern Abend; last week = letzte Woche;
    two days 1_ago = 1_vor zwei Tagen; 1_at 1_the weekend = 1_am Wochenende"""
)
FUTURE_TIMES = ON_DAYS[3:] + phrases(
    """today = heute; tomorrow = morgen; this evening = heute Abend; next week = nächste Woche"""
)

# Things ---------------------------------------------------------------------------------

SHOPS = nouns(
    """post office = die Post; bank = die Bank; pharmacy = die Apotheke; bakery = die Bäckerei;
    supermarket = der Supermarkt; swimming pool = das Schwimmbad"""
)
SIGHTS = nouns(
    """museum = das Museum; library = die Bibliothek; theatre = das Theater; cinema = das Kino;
    park = der Park; zoo = der Zoo; church = die Kirche"""
)
BUILDINGS = nouns(
    """station = der Bahnhof; town hall = das Rathaus; school = die Schule; hotel = das Hotel;
    hospital = das Krankenhaus"""
)
MEANS = phrases(
    """by bus = mit 0_dem Bus; by train = mit 0_dem Zug; by car = mit 0_dem Auto;
    by bicycle = mit 0_dem Fahrrad; by taxi = mit 0_dem Taxi"""
)
DISHES = nouns(
    """soup/soups = die Suppe/Suppen; salad/salads = der Salat/Salate;
    pizza/pizzas = die Pizza/Pizzen; steak/steaks = das Steak/Steaks;
    omelette/omelettes = das Omelett/Omeletts; cake/cakes = der Kuchen/Kuchen"""
)
DRINKS = nouns(
    """coffee = der Kaffee; tea = der Tee; beer = das Bier; wine = der Wein; water = das Wasser;
    milk = die Milch; lemonade = die Limonade; orange juice = der Orangensaft"""
)
SERVINGS = nouns(
    """1_cup 0_of coffee/1_cups 0_of coffee = die 1_Tasse Kaffee/1_Tassen Kaffee;
    1_cup 0_of tea/1_cups 0_of tea = die 1_Tasse Tee/1_Tassen Tee;
    1_glass 0_of water/1_glasses 0_of water = das 1_Glas Wasser/1_Gläser Wasser;
    1_glass 0_of milk/1_glasses 0_of milk = das 1_Glas Milch/1_Gläser Milch;
    1_glass 0_of orange juice/1_glasses 0_of orange juice
    = das 1_Glas Orangensaft/1_Gläser Orangensaft;
    1_bottle 0_of wine/1_bottles 0_of wine = die 1_Flasche Wein/1_Flaschen Wein;
    1_bottle 0_of beer/1_bottles 0_of beer = die 1_Flasche Bier/1_Flaschen Bier"""
)
FOODS = nouns(
    """meat = das Fleisch; fish = der Fisch; cheese = der Käse; bread = das Brot; rice = der Reis;
    butter = die Butter; chocolate = die Schokolade; ham = der Schinken"""
)
THINGS = nouns(
    """book = das Buch; bag = die Tasche; watch = die Uhr; umbrella = der Regenschirm;
    camera = die Kamera; picture = das Bild; ring = der Ring; pen = der Stift;
    key = der Schlüssel"""
)
STATES = adjectives("tired = müde; ill = krank; nervous = nervös; sad = traurig; happy = glücklich")
LOOKS = adjectives(
    "new = neu; old = alt; big = groß; small = klein; beautiful = schön; expensive = teuer"
)
GARMENTS = nouns(
    """coat = der Mantel; pullover = der Pullover; jacket = die Jacke; hat = der Hut;
    skirt = der Rock; dress = das Kleid; shirt = das Hemd; blouse = die Bluse;
    tie = die Krawatte"""
)

TABLES: dict[str, Sequence[Entry]] = {
    # People
    "who": PRONOUN_PERSONS + WOMEN + MEN + RELATIVES + MANY,
    "owner": PRONOUN_PERSONS,
    "patient": (ME, HE, SHE),
    "friend": PRONOUN_PERSONS + WOMEN + MEN,
    "other": (HE, SHE, THEY, *WOMEN, *MEN, *RELATIVES, *MANY),
    "single": (HE, SHE, *WOMEN, *MEN, *RELATIVES),
    "us": (ME, WE),
    "woman": WOMEN,
    "man": MEN,
    "kin": KIN,
    "kinswoman": KIN_WOMEN,
    "kinsman": KIN_MEN,
    "young": KIN_WOMEN[1:4] + KIN_MEN[1:4],
    "some_women": KIN_WOMEN[1:4],
    "some_men": KIN_MEN[1:4],
    "titled": tuple(p for name in ("Becker", "Schmidt", "Weber") for p in titled(name)),
    "dear": tuple(Phrase(person.en, person.en) for person in WOMEN + MEN)
    + phrases("Mum = Mama; Dad = Papa; Grandma = Oma; darling = Schatz"),
    "job": (
        Job("doctor", "Arzt", "Ärztin"),
        Job("teacher", "Lehrer", "Lehrerin"),
        Job("cook", "Koch", "Köchin"),
        Job("painter", "Maler", "Malerin"),
        Job("student", "Student", "Studentin"),
    ),
    # Activities
    "act": CHORES + OUTINGS + HOBBIES,
    "task": CHORES + HOBBIES,
    "treat": OUTINGS + HOBBIES,
    "chore": CHORES,
    "indoors": OUTINGS[:2] + HOBBIES[1:],
    "outdoors": OUTINGS[-2:],
    "outing": OUTINGS,
    "modal": activities(
        """can = können; have to = müssen; want to = wollen; would like to = möchten;
        should = sollten"""
    ),
    "mental": activities("say = sagen; think = glauben; know = wissen; hope = hoffen"),
    # Numbers and times
    "count": numbers(range(1, 7)),
    "hours": numbers(range(2, 6)),
    "few": numbers(range(2, 13)),
    "degrees": numbers(value for value in NUMBERS if 1 < value <= 30),
    "num": numbers(value for value in NUMBERS if value > 1),
    "high": numbers(value for value in NUMBERS if value >= 12),
    "morning": numbers(range(7, 12)),
    "afternoon": numbers(range(2, 7)),
    "sum": tuple(sums()),
    "clock": tuple(clock_times()),
    "day": DAYS,
    "nth": ORDINALS,
    "floor": ORDINALS[:6],
    "turning": ORDINALS[:3],
    "month": phrases(
        """January = Januar; February = Februar; March = März; April = April; May = Mai;
        June = Juni; July = Juli; August = August; September = September; October = Oktober;
        November = November; December = Dezember"""
    ),
    "past": PAST_TIMES,
    "future": FUTURE_TIMES,
    "freq": phrases("often = oft; always = immer; never = nie; sometimes = manchmal"),
    "event": nouns(
        """film = der Film; concert = das Konzert; meeting = die Besprechung; exam = die Prüfung;
        course = der Kurs; party = die Feier; game = das Spiel"""
    ),
    # Places and travel
    "place": SHOPS + SIGHTS + BUILDINGS,
    "opening": SHOPS + SIGHTS,
    "shop": SHOPS,
    "sight": SIGHTS,
    "side": phrases("left = links; right = rechts"),
    "beside": phrases("next to = neben; behind = hinter; in front of = vor; opposite = gegenüber"),
    "vehicle": nouns("bus = der Bus; train = der Zug; tram = die Straßenbahn"),
    "coach": nouns("bus = der Bus; train = der Zug"),
    "means": MEANS,
    "journey": MEANS[:3],
    "city": phrases(
        """Berlin = Berlin; Hamburg = Hamburg; Munich = München; Vienna = Wien; Cologne = Köln;
        Leipzig = Leipzig"""
    ),
    # Hotel and home
    "room": nouns("single room = das Einzelzimmer; double room = das Doppelzimmer"),
    "quality": adjectives("quiet = ruhig; cheap = billig; big = groß; small = klein; new = neu"),
    "device": nouns(
        """shower = die Dusche; television = der Fernseher; lamp = die Lampe;
        fridge = der Kühlschrank; telephone = das Telefon; heater = die Heizung"""
    ),
    "furnishing": nouns(
        """bed = das Bett; balcony = der Balkon; desk = der Schreibtisch; kitchen = die Küche;
        fridge = der Kühlschrank; shower = die Dusche; television = der Fernseher"""
    ),
    "facility": nouns(
        """restaurant = das Restaurant; garden = der Garten; bar = die Bar;
        swimming pool = das Schwimmbad; library = die Bibliothek; kitchen = die Küche"""
    ),
    "thing": THINGS,
    "gift": THINGS[:-1],
    "furniture": nouns(
        """table = der Tisch; chair = der Stuhl; bed = das Bett; sofa = das Sofa;
        cupboard = der Schrank; suitcase = der Koffer; desk = der Schreibtisch"""
    ),
    "where": phrases("on = auf; under = unter; next to = neben; behind = hinter"),
    # Food
    "dish": DISHES,
    "main": DISHES[:-1],
    "serving": SERVINGS,
    "menu": DISHES + DRINKS[:5],
    "beverage": DRINKS,
    "hot_drink": DRINKS[:2],
    "food": FOODS,
    "grocery": FOODS + DRINKS,
    "addition": phrases("milk = Milch; sugar = Zucker; lemon = Zitrone; cream = Sahne"),
    "with": phrases("with = mit; without = ohne"),
    "garnish": phrases("rice = Reis; bread = Brot; potatoes = Kartoffeln; cheese = Käse"),
    "fruit": phrases(
        """apples = Äpfel; pears = Birnen; bananas = Bananen; cherries = Kirschen;
        potatoes = Kartoffeln; tomatoes = Tomaten; onions = Zwiebeln; carrots = Karotten"""
    ),
    "degree": phrases("too = zu; very = sehr; a bit = ein bisschen; not = nicht"),
    "taste": adjectives("cold = kalt; hot = heiß; sweet = süß; expensive = teuer"),
    # Clothes
    "garment": GARMENTS,
    "warm_garment": GARMENTS[:4],
    "pair": nouns(
        """shoe/shoes = der Schuh/Schuhe; glove/gloves = der Handschuh/Handschuhe;
        boot/boots = der Stiefel/Stiefel; sock/socks = die Socke/Socken"""
    ),
    "colour": adjectives("red = rot; blue = blau; green = grün; black = schwarz; white = weiß"),
    "look": LOOKS,
    "size": LOOKS[:5],
    "fit": adjectives("small = klein; big = groß; expensive = teuer; heavy = schwer"),
    "more": phrases(
        """cheaper = billiger; more expensive = teurer; more beautiful = schöner;
        bigger = größer; smaller = kleiner"""
    ),
    # Weather and health
    "rain": activities("rain = regnen; snow = schneien"),
    "sky": adjectives(
        "cold = kalt; warm = warm; hot = heiß; sunny = sonnig; cloudy = bewölkt; windy = windig"
    ),
    "chill": adjectives("cold = kalt; windy = windig"),
    "state": STATES,
    "trouble": STATES[:3],
    "body": nouns(
        """head = der Kopf; back = der Rücken; foot = der Fuß; hand = die Hand; arm = der Arm;
        leg = das Bein; knee = das Knie; nose = die Nase"""
    ),
    "illness": phrases(
        """0_a headache = Kopfschmerzen; 0_a toothache = Zahnschmerzen; a cold = eine Erkältung;
        0_a cough = Husten; 0_a fever = Fieber"""
    ),
    "practice": nouns(
        "doctor = der Arzt; dentist = der Zahnarzt; hairdresser = der Friseur; lawyer = der Anwalt"
    ),
}

LEXICON: dict[str, Entry] = {
    "be": Activity("be", "sein"),
    "can": Activity("can", "können"),
    "do": Activity("do", "machen"),
    "drink": Activity("drink", "trinken"),
    "eat": Activity("eat", "essen"),
    "get_up": Activity("get up", "auf|stehen"),
    "give": Activity("give", "schenken"),
    "go": Activity("go", "fahren"),
    "have": Activity("have", "haben"),
    "have_to": Activity("have to", "müssen"),
    "he": HE,
    "help": Activity("help", "helfen"),
    "know": Activity("know", "wissen"),
    "like": Activity("like", "mögen"),
    "live": Activity("live", "wohnen"),
    "need": Activity("need", "brauchen"),
    "next": Adjective("next", "nächst"),
    "night": Noun("night", "Nacht", "f", "nights", "Nächte"),
    "search": Activity("search", "suchen"),
    "ticket": Noun("ticket", "Fahrkarte", "f", "tickets", "Fahrkarten"),
    "visit": Activity("visit", "besuchen"),
    "want": Activity("want", "wollen"),
    "warm": Adjective("warm", "warm"),
    "will": Activity("will", "werden"),
    "would": Activity("would", "würden"),
}

# --------------------------------------------------------------------------------------
# The phrase book: an English line, its German line and the links of their fixed words in turn
# --------------------------------------------------------------------------------------

PHRASE_BOOK: dict[str, str] = {}

PHRASE_BOOK["asking the way"] = """
    Excuse me, where is the {place}?
    Entschuldigung, wo ist {place:der nom}?
    excuse me = Entschuldigung; where = wo; is = ist
    Excuse me, how do I get from the {place} to the {place2}?
    Entschuldigung, wie komme ich von {place:der dat} zu {place2:der dat}?
    excuse me = Entschuldigung; how = wie; do get = komme; I = ich; from = von; to = zu
    The {place} is {beside} the {place2}.
    {place:der nom} ist {beside} {place2:der dat}.
    is = ist
    Is the {place} {beside} the {place2}?
    Ist {place:der nom} {beside} {place2:der dat}?
    is = ist
    There is a {shop} {beside} the {sight}.
    {beside} {sight:der dat} gibt es {shop:ein acc}.
    there = es; is = gibt
    Turn {side} at the {place}.
    Biegen Sie an {place:der dat} {side} ab.
    turn = biegen ab; = Sie; at = an
    Go straight on to the {place} and then turn {side}.
    Gehen Sie geradeaus bis zu {place:der dat} und biegen Sie dann {side} ab.
    go = gehen; = Sie; straight on = geradeaus; to = bis zu; and = und; then = dann;
    turn = biegen ab; = Sie
    After the {place}, take the {turning} street on the {side}.
    Nehmen Sie nach {place:der dat} die {turning}e Straße {side}.
    after = nach; take = nehmen; = Sie; the = die; street = Straße; on the ?= {side}
    It is {num} minutes to the {place} {means}.
    {means} sind es {num} Minuten bis zu {place:der dat}.
    it = es; is = sind; minutes = Minuten; to = bis zu
    Does this {vehicle} go to the {place}?
    Fährt {vehicle:dies nom} zu {place:der dat}?
    does go = fährt; to = zu
    Which {vehicle} goes to the {place}?
    {vehicle:welch nom} fährt zu {place:der dat}?
    goes = fährt; to = zu
    Can you tell me where the {place} is?
    Können Sie mir sagen, wo {place:der nom} ist?
    can = können; you = Sie; tell = sagen; me = mir; where = wo; is = ist
    Can you tell me how to get to the {place}?
    Können Sie mir sagen, wie ich zu {place:der dat} komme?
    can = können; you = Sie; tell = sagen; me = mir; how = wie; = ich; to get = komme;
    to = zu
    Is there a {shop} {beside} the {sight}?
    Gibt es {beside} {sight:der dat} {shop:ein acc}?
    is = gibt; there = es
    {who} {who+be} looking for the {place}.
    {who:nom} {who+search} {place:der acc}.
    {be} looking for = {search}
"""

PHRASE_BOOK["hotel"] = """
    I would like a {quality+room} for {count+night}.
    Ich möchte {quality+room:ein acc} für {count+night:acc}.
    I = ich; would like = möchte; for = für
    I have booked a {room} from {day} to {day2}.
    Ich habe {room:ein acc} von {day} bis {day2} gebucht.
    I = ich; have = habe; booked = gebucht; from = von; to = bis
    Do you have a room with a {size+furnishing}?
    Haben Sie ein Zimmer mit {size+furnishing:ein dat}?
    do have = haben; you = Sie; a = ein; room = Zimmer; with = mit
    Does the hotel have a {size+facility}?
    Hat das Hotel {size+facility:ein acc}?
    does have = hat; the = das; hotel = Hotel
    The {quality+room} costs {high} euros per night.
    {quality+room:der nom} kostet {high} Euro pro Nacht.
    costs = kostet; euros = Euro; per = pro; night = Nacht
    The {device} in room {num} does not work.
    {device:der nom} in Zimmer {num} funktioniert nicht.
    in = in; room = Zimmer; does work = funktioniert; not = nicht
    There is no {device} in room {num}.
    In Zimmer {num} gibt es {device:kein acc}.
    there = es; is = gibt; in = in; room = Zimmer
    Room {num} is on the {floor} floor.
    Zimmer {num} ist im {floor}en Stock.
    room = Zimmer; is = ist; on the = im; floor = Stock
    I am sorry, but we have no {room} for {day}.
    Es tut mir leid, aber wir haben für {day} {room:kein acc}.
    = es; I = mir; am sorry = tut leid; but = aber; we = wir; have = haben; for = für
    Could you wake {us:object} at {clock}, please?
    Könnten Sie {us:acc} bitte um {clock} wecken?
    could = könnten; you = Sie; wake = wecken; at = um; please = bitte
    We are leaving on {day} at {clock}.
    Wir reisen am {day} um {clock} ab.
    we = wir; are = reisen; leaving = reisen ab; on = am; at = um
"""

PHRASE_BOOK["restaurant"] = """
    I would like a {dish} and a {serving}, please.
    Ich möchte bitte {dish:ein acc} und {serving:ein acc}.
    I = ich; would like = möchte; and = und; please = bitte
    We would like {count+dish} and {count2+serving}.
    Wir möchten {count+dish:acc} und {count2+serving:acc}.
    we = wir; would like = möchten; and = und
    I would like to book a table for {few} people on {day} at {clock}.
    Ich möchte am {day} um {clock} einen Tisch für {few} Personen reservieren.
    I = ich; would like to = möchte; book = reservieren; a = einen; table = Tisch; for = für;
    people = Personen; on = am; at = um
    The {menu} is {degree} {taste}.
    {menu:der nom} ist {degree} {taste}.
    is = ist
    Could you bring {us:object} another {serving}, please?
    Könnten Sie {us:dat} bitte noch {serving:ein acc} bringen?
    could = könnten; you = Sie; bring = bringen; another = noch {serving:the}; please = bitte
    {who} {who+drink} {hot_drink} {with} {addition}.
    {who:nom} {who+drink} {hot_drink:bare} {with} {addition}.
    {who} {who+do} not eat {food}.
    {who:nom} {who+eat} {food:kein acc}.
    {do} eat = {eat}; not = {food:the}
    {who} would rather drink {beverage} than {beverage2}.
    {who:nom} {who+would} lieber {beverage:bare} als {beverage2:bare} trinken.
    would = {would}; rather = lieber; drink = trinken; than = als
    We have been waiting for our {dish} for {num} minutes.
    Wir warten seit {num} Minuten auf {dish:unser acc}.
    we = wir; have been waiting = warten; for = auf; for = seit; minutes = Minuten
    Would you like a {dish} or a {dish2}, {titled}?
    Möchten Sie {dish:ein acc} oder {dish2:ein acc}, {titled:nom}?
    would like = möchten; you = Sie; or = oder
    Who ordered the {dish} and the {beverage}?
    Wer hat {dish:der acc} und {beverage:der acc} bestellt?
    who = wer; ordered = hat bestellt; and = und
    {who} ordered {count+dish}.
    {who:nom} {who+have} {count+dish:acc} bestellt.
    ordered = {have} bestellt
    {who} ordered a {main} with {garnish}.
    {who:nom} {who+have} {main:ein acc} mit {garnish} bestellt.
    ordered = {have} bestellt; with = mit
    Do you like to drink {beverage}, {dear}?
    Trinkst du gern {beverage:bare}, {dear}?
    do drink = trinkst; you = du; like to = gern
"""

PHRASE_BOOK["shopping"] = """
    How much does the {colour+garment} cost?
    Wie viel kostet {colour+garment:der nom}?
    how = wie; much = viel; does cost = kostet
    The {colour+garment} costs {high} euros.
    {colour+garment:der nom} kostet {high} Euro.
    costs = kostet; euros = Euro
    I am looking for a {colour+garment} for my {kin}.
    Ich suche {colour+garment:ein acc} für {kin:mein acc}.
    I = ich; am looking for = suche; for = für
    This {garment} is too {fit} for {single:object}.
    {garment:dies nom} ist zu {fit} für {single:acc}.
    is = ist; too = zu; for = für
    The {garment} is {more} than the {garment2}.
    {garment:der nom} ist {more} als {garment2:der nom}.
    is = ist; than = als
    I am not buying the {garment} because it is too {fit}.
    Ich kaufe {garment:der acc} nicht, weil {garment:pronoun} zu {fit} ist.
    I = ich; am buying = kaufe; not = nicht; because = weil; it = {garment:pronoun}; is = ist;
    too = zu
    I will take the {colour+garment}.
    Ich nehme {colour+garment:der acc}.
    I = ich; will take = nehme
    Can I try on the {colour+garment}?
    Kann ich {colour+garment:der acc} anprobieren?
    can = kann; I = ich; try on = anprobieren
    Which {garment} would you like, {titled}?
    {garment:welch acc} möchten Sie, {titled:nom}?
    would like = möchten; you = Sie
    {who} {who+like} the {colour+garment}.
    {colour+garment:der nom} gefällt {who:dat}.
    {like} = gefällt
    {who} {who+do} not like the {colour+garment}.
    {colour+garment:der nom} gefällt {who:dat} nicht.
    {do} like = gefällt; not = nicht
    {who} bought a {colour+garment} {past}.
    {who:nom} {who+have} {past} {colour+garment:ein acc} gekauft.
    bought = {have} gekauft
    {who} {who+modal} buy a {look+gift}.
    {who:nom} {who+modal} {look+gift:ein acc} kaufen.
    buy = kaufen
    The {garment} that {who} bought {past} is too {fit}.
    {garment:der nom}, {garment:relative} {who:nom} {past} gekauft {who+have}, ist zu {fit}.
    that = {garment:relative}; bought = gekauft {have}; is = ist; too = zu
    How much are these {colour+pair:pl}?
    Wie viel kosten {colour+pair:dies nom pl}?
    how = wie; much = viel; are = kosten
    {who} {who+need} {colour+pair:pl}.
    {who:nom} {who+need} {colour+pair:- acc pl}.
    I would like {few} kilos of {fruit}, please.
    Ich möchte bitte {few} Kilo {fruit}.
    I = ich; would like = möchte; kilos = Kilo; of =; please = bitte
    We still need {grocery} and {fruit}.
    Wir brauchen noch {grocery:bare} und {fruit}.
    we = wir; still = noch; need = brauchen; and = und
    We have no {grocery} left, {dear}.
    Wir haben {grocery:kein acc} mehr, {dear}.
    we = wir; have = haben; left = mehr
    {who} bought {few} kilos of {fruit} at the market.
    {who:nom} {who+have} auf dem Markt {few} Kilo {fruit} gekauft.
    bought = {have} gekauft; kilos = Kilo; of =; at = auf; the = dem; market = Markt
"""

PHRASE_BOOK["numbers and clock times"] = """
    It is {clock}.
    Es ist {clock}.
    it = es; is = ist
    No, it is only {clock}.
    Nein, es ist erst {clock}.
    no = nein; it = es; is = ist; only = erst
    Yes, {sum}.
    Ja, {sum}.
    yes = ja
    {who} {who+get_up} at {clock}.
    {who:nom} {who+get_up} um {clock} auf.
    {get_up} = auf; at = um
    The {event} begins at {clock}.
    {event:der nom} beginnt um {clock}.
    begins = beginnt; at = um
    Does the {event} begin at {clock}?
    Beginnt {event:der nom} um {clock}?
    does begin = beginnt; at = um
    The {event} lasts {hours} hours.
    {event:der nom} dauert {hours} Stunden.
    lasts = dauert; hours = Stunden
    The {shop} opens at {clock}.
    {shop:der nom} macht um {clock} auf.
    opens = macht auf; at = um
    The {shop} closes at {clock}.
    {shop:der nom} macht um {clock} zu.
    closes = macht zu; at = um
    The {opening} is open from {morning} to {afternoon} o'clock.
    {opening:der nom} ist von {morning} bis {afternoon} Uhr geöffnet.
    is = ist; open = geöffnet; from = von; to = bis; o'clock = Uhr
    We are meeting at {clock} {beside} the {place}.
    Wir treffen uns um {clock} {beside} {place:der dat}.
    we = wir; are meeting = treffen uns; at = um
"""

PHRASE_BOOK["appointments"] = """
    {who} {who+have} an appointment on {day} at {clock}.
    {who:nom} {who+have} am {day} um {clock} einen Termin.
    an = einen; appointment = Termin; on = am; at = um
    {who} {who+have} an appointment with the {practice} on {day}.
    {who:nom} {who+have} am {day} einen Termin bei {practice:der dat}.
    an = einen; appointment = Termin; with = bei; on = am
    I have an appointment with {titled} at {clock}.
    Ich habe um {clock} einen Termin mit {titled:dat}.
    I = ich; have = habe; an = einen; appointment = Termin; with = mit; at = um
    Do you have time on {day} at {clock}, {dear}?
    Hast du am {day} um {clock} Zeit, {dear}?
    do have = hast; you = du; time = Zeit; on = am; at = um
    Do you have time on {day} at {clock}, {titled}?
    Haben Sie am {day} um {clock} Zeit, {titled:nom}?
    do have = haben; you = Sie; time = Zeit; on = am; at = um
    Unfortunately {who} cannot come on {day}.
    Leider {who+can} {who:nom} am {day} nicht kommen.
    unfortunately = leider; cannot = {can} nicht; come = kommen; on = am
    The {event} is on {day}, the {nth} of {month}.
    {event:der nom} ist am {day}, dem {nth}en {month}.
    is = ist; on = am; the = dem; of =
    {single} was born on the {nth} of {month}.
    {single:nom} ist am {nth}en {month} geboren.
    was = ist; born = geboren; on the = am; of =
    {who} {who+be} going to {city} in {month}.
    {who:nom} {who+go} im {month} nach {city}.
    {be} going = {go}; to = nach; in = im
    Can we move the {event} from {day} to {day2}?
    Können wir {event:der acc} von {day} auf {day2} verschieben?
    can = können; we = wir; move = verschieben; from = von; to = auf
    Please call me on {day} at {clock}, {titled}.
    Bitte rufen Sie mich am {day} um {clock} an, {titled:nom}.
    please = bitte; call = rufen an; = Sie; me = mich; on = am; at = um
    Please call me on {day} at {clock}, {dear}.
    Bitte ruf mich am {day} um {clock} an, {dear}.
    please = bitte; call = ruf an; me = mich; on = am; at = um
    The {opening} is closed on {day}s.
    {opening:der nom} ist {day:habitual} geschlossen.
    is = ist; closed = geschlossen; on = {day}
"""

PHRASE_BOOK["weather"] = """
    It is {sky} in {city} today.
    In {city} ist es heute {sky}.
    it = es; is = ist; in = in; today = heute
    It was {sky} in {city} {past}.
    {past} war es in {city} {sky}.
    it = es; was = war; in = in
    It will be {sky} in {city} {future}.
    {future} wird es in {city} {sky}.
    it = es; will be = wird; in = in
    It is {rain:ing} in {city}.
    In {city} {he+rain} es.
    it = es; is = {rain}; in = in
    It {rain:past} in {city} {past}.
    {past} hat es in {city} {rain:participle}.
    it = es; {rain} = hat; in = in
    Will it {rain} in {city} {future}?
    Wird es {future} in {city} {rain:inf}?
    will = wird; it = es; in = in
    It is {degrees} degrees in {city} today.
    In {city} sind es heute {degrees} Grad.
    it = es; is = sind; degrees = Grad; in = in; today = heute
    Put on a warm {warm_garment}, {dear}, because it is {chill}.
    Zieh {warm+warm_garment:ein acc} an, {dear}, weil es {chill} ist.
    put on = zieh an; a = {warm_garment:the}; warm = {warm_garment:adj}; because = weil;
    it = es; is = ist
    When it {he+rain}, {who} {freq} {who+indoors}.
    Wenn es {he+rain}, {who+indoors} {who:nom} {freq} {indoors:rest}.
    when = wenn; it = es
    If it {he+rain} {future}, {who} will {indoors}.
    Wenn es {future} {he+rain}, {who+indoors} {who:nom} {indoors:rest}.
    if = wenn; it = es; will = {indoors:finite}
    {who} {who+mental} that it is {rain:ing} in {city}.
    {who:nom} {who+mental}, dass es in {city} {he+rain}.
    that = dass; it = es; is = {rain}; in = in
"""

PHRASE_BOOK["family and people"] = """
    This is {owner+kin}.
    Das ist {owner+kin:poss nom}.
    this = das; is = ist
    {owner+kinswoman} is called {woman}.
    {owner+kinswoman:poss nom} heißt {woman:nom}.
    is called = heißt
    {owner+kinsman} is called {man}.
    {owner+kinsman:poss nom} heißt {man:nom}.
    is called = heißt
    {owner+young} is {high} years old.
    {owner+young:poss nom} ist {high} Jahre alt.
    is = ist; years = Jahre; old = alt
    How old is your {kin}, {dear}?
    Wie alt ist {kin:dein nom}, {dear}?
    how = wie; old = alt; is = ist
    How old is your {kin}, {titled}?
    Wie alt ist {kin:Ihr nom}, {titled:nom}?
    how = wie; old = alt; is = ist
    Does your {kin} live in {city}, {titled}?
    Wohnt {kin:Ihr nom} in {city}, {titled:nom}?
    does live = wohnt; in = in
    {single} is a {job}.
    {single:nom} ist {single+job}.
    is = ist; a =
    {who} {who+live} in {city}.
    {who:nom} {who+live} in {city}.
    in = in
    {who} {who+have} lived in {city} for {few} years.
    {who:nom} {who+live} seit {few} Jahren in {city}.
    {have} lived = {live}; in = in; for = seit; years = Jahren
    {friend} {friend+have} {count+some_men} and {count2+some_women}.
    {friend:nom} {friend+have} {count+some_men:acc} und {count2+some_women:acc}.
    and = und
    {friend} {friend+be} giving {friend+kin} a {look+gift}.
    {friend:nom} {friend+give} {friend+kin:poss dat} {look+gift:ein acc}.
    {be} giving = {give}
    This {gift} is for {who:object}.
    {gift:dies nom} ist für {who:acc}.
    is = ist; for = für
    {friend} {friend+be} visiting {friend+kin} {future}.
    {friend:nom} {friend+visit} {future} {friend+kin:poss acc}.
    {be} visiting = {visit}
    {friend} {friend+help} {friend+kin} in the garden.
    {friend:nom} {friend+help} {friend+kin:poss dat} im Garten.
    in the = im; garden = Garten
    {who} {who+be} {state}.
    {who:nom} {who+be} {state}.
    Are you {state}, {dear}?
    Bist du {state}, {dear}?
    are = bist; you = du
"""

PHRASE_BOOK["at home"] = """
    Do you have a {look+gift}, {dear}?
    Hast du {look+gift:ein acc}, {dear}?
    do have = hast; you = du
    Have you seen my {look+gift}, {dear}?
    Hast du {look+gift:mein acc} gesehen, {dear}?
    have = hast; you = du; seen = gesehen
    Do not forget your {thing}, {dear}.
    Vergiss {thing:dein acc} nicht, {dear}.
    do forget = vergiss; not = nicht
    The {thing} is {where} the {furniture}.
    {thing:der nom} ist {where} {furniture:der dat}.
    is = ist
    Put the {thing} {where} the {furniture}, {dear}.
    Leg {thing:der acc} {where} {furniture:der acc}, {dear}.
    put = leg
    {who} {who+have} no {thing}.
    {who:nom} {who+have} {thing:kein acc}.
    {who} {who+be:past} at the {sight} {past}.
    {who:nom} {who+be:past} {past} in {sight:der dat}.
    at = in
    {who} {who+be:past} {state} {past}.
    {who:nom} {who+be:past} {past} {state}.
    Have you already {chore:done}, {dear}?
    Hast du {chore:objects} schon {chore:participle}, {dear}?
    have = hast; you = du; already = schon
    You have to {act} {future}, {dear}.
    Du musst {future} {act:inf}, {dear}.
    you = du; have to = musst
    Let's {treat} {future}, {dear}.
    Lass uns {future} {treat:inf}, {dear}.
    let's = lass uns
"""

PHRASE_BOOK["daily life"] = """
    {who} {act:past} {past}.
    {who:nom} {who+act:aux} {past} {act:done}.
    {past} {who} {act:past}.
    {past} {who+act:aux} {who:nom} {act:done}.
    Did {other} {act} {past}?
    {other+act:aux} {other:nom} {past} {act:done}?
    did = {act:aux}
    Who {act:past} {past}?
    Wer {he+act:aux} {past} {act:done}?
    who = wer
    Why did {other} {act} {past}?
    Warum {other+act:aux} {other:nom} {past} {act:done}?
    why = warum; did = {act:aux}
    {who} did not {chore} {past}.
    {who:nom} {who+chore:aux} {chore:objects} {past} nicht {chore:participle}.
    did = {chore:aux}; not = nicht
    {who} did not {outing} {past}.
    {who:nom} {who+outing:aux} {past} nicht {outing:done}.
    did = {outing:aux}; not = nicht
    {who} {who+have} already {chore:done}.
    {who:nom} {who+chore:aux} {chore:objects} schon {chore:participle}.
    {have} = {chore:aux}; already = schon
    {who} {who+have} not {chore:done} yet.
    {who:nom} {who+chore:aux} {chore:objects} noch nicht {chore:participle}.
    {have} = {chore:aux}; not = nicht; yet = noch
    {who} {who+be} {task:ing}.
    {who:nom} {who+task} gerade {task:rest}.
    {be} = {task:finite}; {be} ?= gerade
    Why {other+be} {other} {task:ing}?
    Warum {other+task} {other:nom} gerade {task:rest}?
    why = warum; {be} = {task:finite}; {be} ?= gerade
    {who} {freq} {who+act}.
    {who:nom} {who+act} {freq} {act:rest}.
    {who} will {act} {future}.
    {who:nom} {who+act} {future} {act:rest}.
    will = {act:finite}
    {who} will probably {act} {future}.
    {who:nom} {who+will} {future} wahrscheinlich {act:inf}.
    will = {will}; probably = wahrscheinlich
    {who} {who+modal} {act} {future}.
    {who:nom} {who+modal} {future} {act:inf}.
    {future} {who} {who+modal} {act}.
    {future} {who+modal} {who:nom} {act:inf}.
    Can {who} {act} {future}?
    {who+can} {who:nom} {future} {act:inf}?
    can = {can}
    {who} cannot {chore} {future}.
    {who:nom} {who+can} {chore:objects} {future} nicht {chore:verb}.
    cannot = {can} nicht
    {who} {who+do} not want to {outing} {future}.
    {who:nom} {who+want} {future} nicht {outing:inf}.
    {do} want to = {want}; not = nicht
    {who} forgot to {chore}.
    {who:nom} {who+have} vergessen, {chore:zu}.
    forgot = {have} vergessen; to = {chore:to}
    {who} {who+have} no time to {act}.
    {who:nom} {who+have} keine Zeit, {act:zu}.
    no = keine; time = Zeit; to = {act:to}
"""

PHRASE_BOOK["subordinate clauses"] = """
    {who} {who+be} {state} because {who:pronoun} {act:past} {past}.
    {who:nom} {who+be} {state}, weil {who:pronoun} {past} {act:done} {who+act:aux}.
    because = weil
    {who} cannot {outing} because {who:pronoun} {who+have_to} {chore}.
    {who:nom} {who+can} nicht {outing:inf}, weil {who:pronoun} {chore:inf} {who+have_to}.
    cannot = {can} nicht; because = weil
    {who} {act:past} {past} although {who:pronoun} {who+be:past} {state}.
    {who:nom} {who+act:aux} {past} {act:done}, obwohl {who:pronoun} {state} {who+be:past}.
    although = obwohl
    {who} {who+mental} that {single} {single+modal} {act} {future}.
    {who:nom} {who+mental}, dass {single:nom} {future} {act:inf} {single+modal}.
    that = dass
    {who} {who+mental} that {single} {freq} {single+act}.
    {who:nom} {who+mental}, dass {single:nom} {freq} {act:objects} {single+act:final}.
    that = dass
    When {who} {who+be} {state}, {who:pronoun} {who+indoors}.
    Wenn {who:nom} {state} {who+be}, {who+indoors} {who:pronoun} {indoors:rest}.
    when = wenn
    {who} {who+do} not know whether {single} can come on {day}.
    {who:nom} {who+know} nicht, ob {single:nom} am {day} kommen kann.
    {do} know = {know}; not = nicht; whether = ob; can = kann; come = kommen; on = am
    {who} {who+do} not know when the {coach} to {city} leaves.
    {who:nom} {who+know} nicht, wann {coach:der nom} nach {city} abfährt.
    {do} know = {know}; not = nicht; when = wann; to = nach; leaves = abfährt
    {who} {who+do} not know where the {place} is.
    {who:nom} {who+know} nicht, wo {place:der nom} ist.
    {do} know = {know}; not = nicht; where = wo; is = ist
    Can you tell me whether the {opening} is open on {day}?
    Können Sie mir sagen, ob {opening:der nom} am {day} geöffnet ist?
    can = können; you = Sie; tell = sagen; me = mir; whether = ob; is = ist; open = geöffnet;
    on = am
"""

PHRASE_BOOK["travel"] = """
    I would like {count+ticket} to {city} for {day}.
    Ich möchte {count+ticket:acc} nach {city} für {day}.
    I = ich; would like = möchte; to = nach; for = für
    The {coach} to {city} leaves at {clock}.
    {coach:der nom} nach {city} fährt um {clock} ab.
    to = nach; leaves = fährt ab; at = um
    The {coach} from {city} arrives at {clock}.
    {coach:der nom} aus {city} kommt um {clock} an.
    from = aus; arrives = kommt an; at = um
    The train to {city} leaves from platform {few}.
    Der Zug nach {city} fährt von Gleis {few} ab.
    the = der; train = Zug; to = nach; leaves = fährt ab; from = von; platform = Gleis
    When does the next {coach} to {city} leave?
    Wann fährt {next+coach:der nom} nach {city} ab?
    when = wann; does = fährt; the = {coach:the}; next = {coach:adj}; to = nach;
    leave = fährt ab
    The {coach} to {city} is {num} minutes late.
    {coach:der nom} nach {city} hat {num} Minuten Verspätung.
    to = nach; is = hat; minutes = Minuten; late = Verspätung
    {who} {who+be} going to {city} {journey} {future}.
    {who:nom} {who+go} {future} {journey} nach {city}.
    {be} going = {go}; to = nach
    {who} went to {city} {journey} {past}.
    {who:nom} {who+be} {past} {journey} nach {city} gefahren.
    went = {be} gefahren; to = nach
    {who} {who+have_to} change trains in {city}.
    {who:nom} {who+have_to} in {city} umsteigen.
    change trains = umsteigen; in = in
    {friend} lost {friend+thing} on the {coach}.
    {friend:nom} {friend+have} in {coach:der dat} {friend+thing:poss acc} verloren.
    lost = {have} verloren; on = in
"""

PHRASE_BOOK["health"] = """
    {patient+body} hurts.
    {patient+body:poss nom} tut weh.
    hurts = tut weh
    {patient+body} has been hurting since {day}.
    {patient+body:poss nom} tut seit {day} weh.
    has been = tut; hurting = tut weh; since = seit
    {single} has {illness}.
    {single:nom} hat {illness}.
    has = hat
    {single} has had {illness} since {day}.
    {single:nom} hat seit {day} {illness}.
    has had = hat; since = seit
    You should {treat} {future}, {titled}.
    Sie sollten {future} {treat:inf}, {titled:nom}.
    you = Sie; should = sollten
"""

# Compositions of pieces known from other patterns; these occur in the test split only.
HELD_OUT = """
    {who} cannot come on {day} because {who:pronoun} {who+be} {trouble}.
    {who:nom} {who+can} am {day} nicht kommen, weil {who:pronoun} {trouble} {who+be}.
    cannot = {can} nicht; come = kommen; on = am; because = weil
    {who} {who+mental} that {single} {act:past} {past}.
    {who:nom} {who+mental}, dass {single:nom} {past} {act:done} {single+act:aux}.
    that = dass
    {who} {who+mental} that the {opening} is closed on {day}s.
    {who:nom} {who+mental}, dass {opening:der nom} {day:habitual} geschlossen ist.
    that = dass; is = ist; closed = geschlossen; on = {day}
    Can you tell me when the {coach} to {city} leaves?
    Können Sie mir sagen, wann {coach:der nom} nach {city} abfährt?
    can = können; you = Sie; tell = sagen; me = mir; when = wann; to = nach; leaves = abfährt
    If it {he+rain} {future}, {who} cannot {outdoors}.
    Wenn es {future} {he+rain}, {who+can} {who:nom} nicht {outdoors:inf}.
    if = wenn; it = es; cannot = {can} nicht
    Why did {other} buy a {colour+garment} {past}?
    Warum {other+have} {other:nom} {past} {colour+garment:ein acc} gekauft?
    why = warum; did = {have}; buy = gekauft
    Did you {task} {past}, {dear}?
    Hast du {past} {task:done}, {dear}?
    did = hast; you = du
"""

# --------------------------------------------------------------------------------------
# Linking words
# --------------------------------------------------------------------------------------


class Word(NamedTuple):
    """A word with the punctuation at its end; words that share a mark are linked."""

    text: str
    marks: tuple[str, ...]


class Pair(NamedTuple):
    """A sentence, its translation, and the word links in Pharaoh format."""

    english: str
    german: str
    links: str


def read_words(marked: str) -> list[Word]:
    """The words of "1_go 2_home": their marks come first."""
    read: list[Word] = []
    for token in marked.split():
        *marks, text = token.split("_")
        if read and text in {",", ".", "?", "!"}:  # after an empty field
            read[-1] = read[-1]._replace(text=read[-1].text + text)
        else:
            read.append(Word(text, tuple(marks)))
    return read


def contract(german: Iterable[Word]) -> list[Word]:
    """Contract prepositions with articles; "zum" takes the marks of "zu" and "dem"."""
    contracted: list[Word] = []
    for word in german:
        if contracted and (short := CONTRACTIONS.get(f"{contracted[-1].text} {word.text}")):
            contracted[-1] = Word(short, contracted[-1].marks + word.marks)
        else:
            contracted.append(word)
    return contracted


def link(english: Sequence[Word], german: Sequence[Word]) -> str:
    """Sure links such as "0-1" and possible links such as "2?3", counted from 0."""
    links = []
    for i, word in enumerate(english):
        for j, other in enumerate(german):
            shared = [
                a + b for a in word.marks for b in other.marks if a.strip("?") == b.strip("?")
            ]
            if shared:
                links.append(f"{i}{'?' if all('?' in marks for marks in shared) else '-'}{j}")
    return " ".join(links)


# --------------------------------------------------------------------------------------
# Filling the patterns
# --------------------------------------------------------------------------------------

FIELD = re.compile(r"\{([^{}:]+):?([^{}]*)\}")
DETERMINED = re.compile(r"\{(?:\w+\+)?(\w+):(?:der|ein|kein|dies|welch|mein|dein|Ihr|unser|-) ")
ARTICLE = re.compile(r"\b(an?|the|this|these|which|my|your|our|no) (?=\{(?:\w+\+)?(\w+))", re.I)
FIELD_OR_WORD = re.compile(r"\{[^{}]*\}\w*|[\w-]+\.\w+|[\w']+")  # or an article, "garment.the_The"

Mention = tuple[str, str]  # a fixed word, or a slot such as "{chore:aux}", and a mark for it


def slot_mark(slot: str, mark: str) -> str:
    return f"{slot.replace('_', '-')}.{mark}"


@dataclass(frozen=True)
class MarkedLine:
    """A line whose fixed words have marks, and more marks for the words of its slots."""

    text: str
    more_marks: dict[str, list[str]]

    def fill(self, write: Callable[[re.Match[str]], str]) -> list[Word]:
        """The words of the line, with ``write(field)`` in place of its fields."""

        def marked(match: re.Match[str]) -> str:
            slot = match[1].rpartition("+")[2]
            return " ".join(self.add_slot(word, slot) for word in write(match).split())

        return read_words(FIELD.sub(marked, self.text))

    def add_slot(self, word: str, slot: str) -> str:
        """Add the name of the slot to the marks of a word: "aux_hat" becomes "chore.aux_hat"."""
        *marks, text = word.split("_")
        own = [slot_mark(slot, mark) for mark in marks or [""]]
        more = [mark for known in own for mark in self.more_marks.get(known, [])]
        return "_".join([*own, *more, text])


def marked_line(line: str, mentions: Iterable[Mention]) -> MarkedLine:
    """Mark the fixed words of a line; every one of them must be mentioned."""
    marks: dict[str, list[str]] = {}
    more_marks: dict[str, list[str]] = {}
    slots = {name for field, _ in FIELD.findall(line) for name in field.split("+")}
    for word, mark in mentions:
        slot, _, part = word.strip("{}").partition(":")
        if word[0] == "{" and slot in slots:
            more_marks.setdefault(slot_mark(slot, part), []).append(mark)
        else:
            marks.setdefault(word.lower(), []).append(mark)
    tokens = [token.lower() for token in FIELD_OR_WORD.findall(line)]
    counts = Counter(token for token in tokens if token[0] != "{" and "." not in token)
    if counts.keys() != marks.keys():
        raise ValueError(
            f"links of {line!r} are missing or too many: {counts.keys() ^ marks.keys()}"
        )
    if any(count not in {1, len(marks[word])} for word, count in counts.items()):
        raise ValueError(f"a word that occurs twice is not mentioned twice: {line!r}")

    def mark_word(match: re.Match[str]) -> str:
        word = match[0].lower()
        if word not in counts:
            return match[0]
        own = marks[word] if counts[word] == 1 else [marks[word].pop(0)]
        return "_".join([*own, match[0]])

    return MarkedLine(FIELD_OR_WORD.sub(mark_word, line), more_marks)


@dataclass(frozen=True)
class Pattern:
    """A line of English and a line of German over the same slots, and links of fixed words."""

    en: str
    de: str
    links: str

    @cached_property
    def marked(self) -> tuple[MarkedLine, MarkedLine]:
        """Both lines with marks at their words."""
        mentions: tuple[list[Mention], list[Mention]] = ([], [])
        for number, group in enumerate(filter(None, self.links.split(";"))):
            unsure = "?" if "?=" in group else ""
            for side, mentioned in zip(re.split(r"\??=", group), mentions, strict=True):
                mentioned += [(word, f"#{number}{unsure}") for word in side.split()]
        determined = set(DETERMINED.findall(self.de))

        def marked_article(match: re.Match[str]) -> str:
            slot = match[2]
            return f"{slot_mark(slot, 'the')}_{match[0]}" if slot in determined else match[0]

        english, german = mentions
        return (
            marked_line(ARTICLE.sub(marked_article, self.en), english),
            marked_line(self.de, german),
        )

    def slots(self) -> list[str]:
        used = {language: self.slots_of(language) for language in (self.en, self.de)}
        if used[self.en] != used[self.de]:
            raise ValueError(f"slots differ: {self.en} / {self.de}")
        return sorted(used[self.en])

    @staticmethod
    def slots_of(line: str) -> set[str]:
        names = {name for field, _ in FIELD.findall(line) for name in field.split("+")}
        return names - LEXICON.keys()

    def sample(self, size: int, rng: random.Random) -> Iterator[Pair]:
        """Up to ``size`` sentence pairs with different words in the slots."""
        slots = self.slots()
        tables = [TABLES[slot.rstrip("0123456789")] for slot in slots]
        combinations = math.prod(map(len, tables))
        for combination in rng.sample(range(combinations), min(size, combinations)):
            rest, chosen = combination, []
            for table in tables:
                rest, index = divmod(rest, len(table))
                chosen.append(table[index])
            if len(set(map(id, chosen))) == len(chosen):
                yield self.fill(dict(zip(slots, chosen, strict=True)))

    def fill(self, chosen: dict[str, Entry]) -> Pair:
        entries = LEXICON | chosen

        def english(match: re.Match[str]) -> str:
            left, word = self.operands(match[1], entries)
            return word.english(match[2], left)

        def german(match: re.Match[str]) -> str:
            left, word = self.operands(match[1], entries)
            return word.german(match[2], left)

        english_line, german_line = self.marked
        en, de = english_line.fill(english), contract(german_line.fill(german))
        return Pair(
            polish_english(" ".join(word.text for word in en)),
            polish_german(" ".join(word.text for word in de)),
            link(en, de),
        )

    @staticmethod
    def operands(field: str, entries: dict[str, Entry]) -> tuple[Entry | None, Entry]:
        left, _, word = field.rpartition("+")
        return entries[left] if left else None, entries[word]


def patterns(text: str) -> list[Pattern]:
    """Pairs of lines, each with its links (lines with "=") if it has fixed words."""
    read: list[list[str]] = []
    for line in (line.strip() for line in text.strip().splitlines()):
        if "=" in line:
            read[-1][2] += line
        elif read and not read[-1][1]:
            read[-1][1] = line
        else:
            read.append([line, "", ""])
    return [Pattern(*lines) for lines in read]


# --------------------------------------------------------------------------------------
# The splits
# --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corpus:
    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]
    held_out: int  # how many test pairs come from held-out patterns


def words(text: str) -> list[str]:
    return re.findall(r"\w+(?:[-']\w+)*", text)


def tokens(text: str) -> list[str]:
    return re.findall(r"\w+(?:[-']\w+)*|[^\w\s]", text)


def tagged_words(pair: Pair) -> list[tuple[int, str]]:
    """The words of both sides, each with the number of its side."""
    texts = (pair.english, pair.german)
    return [(side, word) for side, text in enumerate(texts) for word in words(text)]


def draw_pairs(book: Sequence[Pattern], size: int, rng: random.Random) -> list[Pair]:
    """Draw ``size`` distinct pairs, of every pattern in proportion to its number of slots."""
    draws: list[Iterator[Pair]] = []
    for pattern in book:
        draws += [pattern.sample(size // 50, rng)] * len(pattern.slots())
    pairs: dict[str, Pair] = {}
    while len(pairs) < size and draws:
        draws = [draw for draw in draws if add_pair(pairs, draw)]
    return list(pairs.values())[:size]


def add_pair(pairs: dict[str, Pair], draw: Iterator[Pair]) -> bool:
    """Add the next pair of ``draw``, if there is one left."""
    if (pair := next(draw, None)) is None:
        return False
    known = pairs.setdefault(pair.english, pair)
    if known != pair:
        raise ValueError(f"two translations or links of a sentence: {known}, {pair}")
    return True


def set_aside(pairs: list[Pair], size: int) -> tuple[list[Pair], list[Pair]]:
    """Take ``size`` pairs out of ``pairs`` whose words stay frequent in the rest."""
    counts = Counter(word for pair in pairs for word in tagged_words(pair))
    targets = Counter(pair.german for pair in pairs)
    aside: list[Pair] = []
    rest: list[Pair] = []
    for pair in pairs:
        own = Counter(tagged_words(pair))
        frequent = all(counts[word] - own[word] >= MIN_TRAIN_COUNT for word in own)
        if len(aside) < size and targets[pair.german] == 1 and frequent:
            counts -= own
            aside.append(pair)
        else:
            rest.append(pair)
    return aside, rest


def draw_held_out(train: Sequence[Pair], rng: random.Random) -> list[Pair]:
    """Draw pairs of the held-out patterns from words that are frequent in train."""
    counts = Counter(word for pair in train for word in tagged_words(pair))
    drawn: list[Pair] = []
    for pattern in patterns(HELD_OUT):
        known = (
            pair
            for pair in pattern.sample(20 * HELD_OUT_PER_PATTERN, rng)
            if all(counts[word] >= MIN_TRAIN_COUNT for word in tagged_words(pair))
        )
        drawn += [pair for pair, _ in zip(known, range(HELD_OUT_PER_PATTERN), strict=False)]
    return drawn


def make_corpus(seed: int) -> Corpus:
    rng = random.Random(seed)
    book = [pattern for text in PHRASE_BOOK.values() for pattern in patterns(text)]
    held_out_size = HELD_OUT_PER_PATTERN * len(patterns(HELD_OUT))
    test_size = TEST_SIZE - held_out_size
    pairs = draw_pairs(book, TRAIN_SIZE + VALIDATION_SIZE + test_size, rng)
    rng.shuffle(pairs)
    aside, train = set_aside(pairs, VALIDATION_SIZE + test_size)
    held_out = draw_held_out(train, rng)
    test = aside[VALIDATION_SIZE:] + held_out
    rng.shuffle(test)
    return Corpus(train, aside[:VALIDATION_SIZE], test, len(held_out))


# --------------------------------------------------------------------------------------
# Report and files
# --------------------------------------------------------------------------------------


def vocabulary(pairs: Iterable[Pair], side: int) -> Counter[str]:
    return Counter(word for pair in pairs for word in words(pair[side]))


def four_grams(pairs: Iterable[Pair], side: int) -> list[tuple[str, ...]]:
    sentences = (tokens(pair[side]) for pair in pairs)
    return [tuple(s[i : i + 4]) for s in sentences for i in range(len(s) - 3)]


def report(corpus: Corpus) -> Iterator[str]:
    train, test = corpus.train, corpus.test
    everything = train + corpus.validation + test
    counts = [len(patterns(text)) for text in PHRASE_BOOK.values()]
    yield f"pairs: train {len(train)}, validation {len(corpus.validation)}, test {len(test)}"
    yield (
        f"patterns: {sum(counts)} on {len(counts)} topics, "
        f"and {len(patterns(HELD_OUT))} held out of training"
    )
    yield f"test pairs of held-out patterns: {corpus.held_out / len(test):.1%}"
    for side, language in enumerate(("English", "German")):
        known = vocabulary(train, side)
        rarest = min(known[word] for word in vocabulary(test + corpus.validation, side))
        seen = set(four_grams(train, side))
        grams = four_grams(test, side)
        overlap = sum(gram in seen for gram in grams) / len(grams)
        sources = {pair[side] for pair in train}
        repeated = sum(pair[side] in sources for pair in test + corpus.validation)
        yield f"{language}: {len(vocabulary(everything, side))} distinct words"
        yield f"{language}: rarest word of test and validation occurs {rarest} times in train"
        yield f"{language}: {overlap:.1%} of the test 4-grams occur in train"
        yield f"{language}: {repeated} test and validation sentences occur in train"


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    lines = (f"{pair.english}\t{pair.german}\n" for pair in pairs)
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def write_links(path: Path, pairs: Iterable[Pair]) -> None:
    path.write_text("".join(f"{pair.links}\n" for pair in pairs), encoding="utf-8", newline="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate the synthetic everyday corpus.")
    parser.add_argument("--output", type=Path, default=Path("data/everyday"), metavar="DIR")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--train-links", action="store_true", help="write train.links too")
    arguments = parser.parse_args()
    corpus = make_corpus(arguments.seed)
    folder = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    write_pairs(folder / "train.tsv", corpus.train)
    write_pairs(folder / "validation.tsv", corpus.validation)
    write_pairs(folder / "test.tsv", corpus.test)
    if arguments.train_links:
        write_links(folder / "train.links", corpus.train)
    write_links(folder / "validation.links", corpus.validation)
    write_links(folder / "test.links", corpus.test)
    print("\n".join(report(corpus)))


if __name__ == "__main__":
    main()
