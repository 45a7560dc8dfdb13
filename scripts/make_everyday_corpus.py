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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """Contract prepositions with articles, close gaps and capitalise the sentence."""
    text = re.sub(
        rf"\b({'|'.join(CONTRACTIONS)})\b",
        lambda match: CONTRACTIONS[match[1].lower()],
        text,
    )
    text = re.sub(r" +(?=[ ,.?!])", "", text)
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
                return self.pronoun.en
            case _:
                return self.en

    def german(self, form: str, left: Entry | None) -> str:
        return self.pronoun.cases["nom"] if form == "pronoun" else self.cases[form]


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
                return f"{left.pronoun.possessive[0]} {self.en}"
            case Number():
                return f"{left.en} {self.en if left.value == 1 else self.en_plural}"
        noun = self.en_plural if form == "pl" else self.en
        return f"{left.en} {noun}" if isinstance(left, Adjective) else noun

    def german(self, form: str, left: Entry | None) -> str:
        if form == "bare":
            return self.de
        if form == "pronoun":
            return PRONOUNS[self.gender]
        if form == "relative":
            return column(DEFINITE, "acc", self.gender)
        if isinstance(left, Number):
            return self.counted(left, form)
        determiner, case, *plural = form.split()
        gender = "pl" if plural else self.gender
        words = [self.de_plural if plural else self.de]
        if isinstance(left, Person):
            determiner = left.pronoun.possessive[1]
        elif isinstance(left, Adjective):
            words.insert(0, german_adjective(left.de, determiner, case, gender))
        return " ".join([german_determiner(determiner, case, gender), *words]).strip()

    def counted(self, number: Number, case: str) -> str:
        if number.value == 1:
            return self.german(f"ein {case}", None)
        return f"{number.de} {self.de_plural}"


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

    The bar marks a separable prefix.  A verb with a subject on its left is finite.
    """

    en: str
    de: str

    def english(self, form: str, left: Entry | None) -> str:
        verb, _, rest = self.en.partition(" ")
        match form:
            case "ing":
                verb = english_ing(verb)
            case "past":
                verb = self.english_past(verb, left)
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
                zu = f"{prefix}zu{verb}" if prefix else f"zu {verb}"
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
                return prefix + german_present(verb, person)
            case "aux":
                auxiliary = "sein" if verb in GERMAN_MOTION else "haben"
                return german_present(auxiliary, person)
            case "past":  # only of "sein"
                return "war" + ("en" if person in {"wir", "sie"} else "")
            case _:
                return german_present(verb, person)


# --------------------------------------------------------------------------------------
# Word tables: "english = german", separated by semicolons
# --------------------------------------------------------------------------------------


def rows(text: str) -> Iterator[tuple[str, str]]:
    for row in " ".join(text.split()).split(";"):
        english, german = row.split("=")
        yield english.strip(), german.strip()


def phrases(text: str) -> tuple[Phrase, ...]:
    return tuple(Phrase(en, de) for en, de in rows(text))


def adjectives(text: str) -> tuple[Adjective, ...]:
    return tuple(Adjective(en, de) for en, de in rows(text))


def activities(text: str) -> tuple[Activity, ...]:
    return tuple(Activity(en, de) for en, de in rows(text))


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
    cases = {"nom": f"Herr {surname}", "acc": f"Herrn {surname}", "dat": f"Herrn {surname}"}
    yield Person(f"Mr {surname}", f"Mr {surname}", cases, like=HE)
    cases = dict.fromkeys(cases, f"Frau {surname}")
    yield Person(f"Mrs {surname}", f"Mrs {surname}", cases, like=SHE)


def relative(noun: Noun) -> Person:
    """A member of my family as a person."""
    cases = {case: noun.german(f"mein {case}", None) for case in ("nom", "acc", "dat")}
    return Person(f"my {noun.en}", f"my {noun.en}", cases, like=HE if noun.gender == "m" else SHE)


def relatives(plural: str, german: str, dative: str) -> Person:
    cases = {"nom": f"meine {german}", "acc": f"meine {german}", "dat": f"meinen {dative}"}
    return Person(f"my {plural}", f"my {plural}", cases, like=THEY)


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
    call the doctor = den Arzt an|rufen; pick up the children = die Kinder ab|holen"""
)
OUTINGS = activities(  # with a place: German "nicht" precedes it
    """stay at home = zu Hause bleiben; go to the cinema = ins Kino gehen;
    go to the doctor = zum Arzt gehen; go to work = zur Arbeit gehen;
    drive to Munich = nach München fahren; fly to Vienna = nach Wien fliegen;
    swim in the lake = im See schwimmen; work in the garden = im Garten arbeiten"""
)
HOBBIES = activities(
    """play football = Fußball spielen; bake a cake = einen Kuchen backen;
    watch a film = einen Film sehen; play the guitar = Gitarre spielen;
    learn German = Deutsch lernen; listen to music = Musik hören; read a book = ein Buch lesen;
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
        yield Phrase(f"{this.en} o'clock", f"{'ein' if hour == 1 else this.de} Uhr")
        yield Phrase(f"half past {this.en}", f"halb {following.de}")
        for en, de in (("quarter", "Viertel"), *((NUMBERS[m].en, NUMBERS[m].de) for m in (5, 10))):
            yield Phrase(f"{en} past {this.en}", f"{de} nach {this.de}")
            yield Phrase(f"{en} to {following.en}", f"{de} vor {following.de}")


def sums() -> Iterator[Phrase]:
    for first, a in NUMBERS.items():
        for second, b in NUMBERS.items():
            if total := NUMBERS.get(first + second):
                yield Phrase(
                    f"{a.en} plus {b.en} is {total.en}", f"{a.de} plus {b.de} ist {total.de}"
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
ON_DAYS = tuple(Phrase(f"on {day.en}", f"am {day.de}") for day in DAYS)
PAST_TIMES = ON_DAYS[:3] + phrases(
    """yesterday = gestern; yesterday evening = gestern Abend; last week = letzte Woche;
    two days ago = vor zwei Tagen; at the weekend = am Wochenende"""
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
    """by bus = mit dem Bus; by train = mit dem Zug; by car = mit dem Auto;
    by bicycle = mit dem Fahrrad; by taxi = mit dem Taxi"""
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
    """cup of coffee/cups of coffee = die Tasse Kaffee/Tassen Kaffee;
    cup of tea/cups of tea = die Tasse Tee/Tassen Tee;
    glass of water/glasses of water = das Glas Wasser/Gläser Wasser;
    glass of milk/glasses of milk = das Glas Milch/Gläser Milch;
    glass of orange juice/glasses of orange juice = das Glas Orangensaft/Gläser Orangensaft;
    bottle of wine/bottles of wine = die Flasche Wein/Flaschen Wein;
    bottle of beer/bottles of beer = die Flasche Bier/Flaschen Bier"""
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
        """a headache = Kopfschmerzen; a toothache = Zahnschmerzen; a cold = eine Erkältung;
        a cough = Husten; a fever = Fieber"""
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
# The phrase book: an English line and its German line in turn
# --------------------------------------------------------------------------------------

PHRASE_BOOK: dict[str, str] = {}

PHRASE_BOOK["asking the way"] = """
    Excuse me, where is the {place}?
    Entschuldigung, wo ist {place:der nom}?
    Excuse me, how do I get from the {place} to the {place2}?
    Entschuldigung, wie komme ich von {place:der dat} zu {place2:der dat}?
    The {place} is {beside} the {place2}.
    {place:der nom} ist {beside} {place2:der dat}.
    Is the {place} {beside} the {place2}?
    Ist {place:der nom} {beside} {place2:der dat}?
    There is a {shop} {beside} the {sight}.
    {beside} {sight:der dat} gibt es {shop:ein acc}.
    Turn {side} at the {place}.
    Biegen Sie an {place:der dat} {side} ab.
    Go straight on to the {place} and then turn {side}.
    Gehen Sie geradeaus bis zu {place:der dat} und biegen Sie dann {side} ab.
    After the {place}, take the {turning} street on the {side}.
    Nehmen Sie nach {place:der dat} die {turning}e Straße {side}.
    It is {num} minutes to the {place} {means}.
    {means} sind es {num} Minuten bis zu {place:der dat}.
    Does this {vehicle} go to the {place}?
    Fährt {vehicle:dies nom} zu {place:der dat}?
    Which {vehicle} goes to the {place}?
    {vehicle:welch nom} fährt zu {place:der dat}?
    Can you tell me where the {place} is?
    Können Sie mir sagen, wo {place:der nom} ist?
    Can you tell me how to get to the {place}?
    Können Sie mir sagen, wie ich zu {place:der dat} komme?
    Is there a {shop} {beside} the {sight}?
    Gibt es {beside} {sight:der dat} {shop:ein acc}?
    {who} {who+be} looking for the {place}.
    {who:nom} {who+search} {place:der acc}.
"""

PHRASE_BOOK["hotel"] = """
    I would like a {quality+room} for {count+night}.
    Ich möchte {quality+room:ein acc} für {count+night:acc}.
    I have booked a {room} from {day} to {day2}.
    Ich habe {room:ein acc} von {day} bis {day2} gebucht.
    Do you have a room with a {size+furnishing}?
    Haben Sie ein Zimmer mit {size+furnishing:ein dat}?
    Does the hotel have a {size+facility}?
    Hat das Hotel {size+facility:ein acc}?
    The {quality+room} costs {high} euros per night.
    {quality+room:der nom} kostet {high} Euro pro Nacht.
    The {device} in room {num} does not work.
    {device:der nom} in Zimmer {num} funktioniert nicht.
    There is no {device} in room {num}.
    In Zimmer {num} gibt es {device:kein acc}.
    Room {num} is on the {floor} floor.
    Zimmer {num} ist im {floor}en Stock.
    I am sorry, but we have no {room} for {day}.
    Es tut mir leid, aber wir haben für {day} {room:kein acc}.
    Could you wake {us:object} at {clock}, please?
    Könnten Sie {us:acc} bitte um {clock} wecken?
    We are leaving on {day} at {clock}.
    Wir reisen am {day} um {clock} ab.
"""

PHRASE_BOOK["restaurant"] = """
    I would like a {dish} and a {serving}, please.
    Ich möchte bitte {dish:ein acc} und {serving:ein acc}.
    We would like {count+dish} and {count2+serving}.
    Wir möchten {count+dish:acc} und {count2+serving:acc}.
    I would like to book a table for {few} people on {day} at {clock}.
    Ich möchte am {day} um {clock} einen Tisch für {few} Personen reservieren.
    The {menu} is {degree} {taste}.
    {menu:der nom} ist {degree} {taste}.
    Could you bring {us:object} another {serving}, please?
    Könnten Sie {us:dat} bitte noch {serving:ein acc} bringen?
    {who} {who+drink} {hot_drink} {with} {addition}.
    {who:nom} {who+drink} {hot_drink:bare} {with} {addition}.
    {who} {who+do} not eat {food}.
    {who:nom} {who+eat} {food:kein acc}.
    {who} would rather drink {beverage} than {beverage2}.
    {who:nom} {who+would} lieber {beverage:bare} als {beverage2:bare} trinken.
    We have been waiting for our {dish} for {num} minutes.
    Wir warten seit {num} Minuten auf {dish:unser acc}.
    Would you like a {dish} or a {dish2}, {titled}?
    Möchten Sie {dish:ein acc} oder {dish2:ein acc}, {titled:nom}?
    Who ordered the {dish} and the {beverage}?
    Wer hat {dish:der acc} und {beverage:der acc} bestellt?
    {who} ordered {count+dish}.
    {who:nom} {who+have} {count+dish:acc} bestellt.
    {who} ordered a {main} with {garnish}.
    {who:nom} {who+have} {main:ein acc} mit {garnish} bestellt.
    Do you like to drink {beverage}, {dear}?
    Trinkst du gern {beverage:bare}, {dear}?
"""

PHRASE_BOOK["shopping"] = """
    How much does the {colour+garment} cost?
    Wie viel kostet {colour+garment:der nom}?
    The {colour+garment} costs {high} euros.
    {colour+garment:der nom} kostet {high} Euro.
    I am looking for a {colour+garment} for my {kin}.
    Ich suche {colour+garment:ein acc} für {kin:mein acc}.
    This {garment} is too {fit} for {single:object}.
    {garment:dies nom} ist zu {fit} für {single:acc}.
    The {garment} is {more} than the {garment2}.
    {garment:der nom} ist {more} als {garment2:der nom}.
    I am not buying the {garment} because it is too {fit}.
    Ich kaufe {garment:der acc} nicht, weil {garment:pronoun} zu {fit} ist.
    I will take the {colour+garment}.
    Ich nehme {colour+garment:der acc}.
    Can I try on the {colour+garment}?
    Kann ich {colour+garment:der acc} anprobieren?
    Which {garment} would you like, {titled}?
    {garment:welch acc} möchten Sie, {titled:nom}?
    {who} {who+like} the {colour+garment}.
    {colour+garment:der nom} gefällt {who:dat}.
    {who} {who+do} not like the {colour+garment}.
    {colour+garment:der nom} gefällt {who:dat} nicht.
    {who} bought a {colour+garment} {past}.
    {who:nom} {who+have} {past} {colour+garment:ein acc} gekauft.
    {who} {who+modal} buy a {look+gift}.
    {who:nom} {who+modal} {look+gift:ein acc} kaufen.
    The {garment} that {who} bought {past} is too {fit}.
    {garment:der nom}, {garment:relative} {who:nom} {past} gekauft {who+have}, ist zu {fit}.
    How much are these {colour+pair:pl}?
    Wie viel kosten {colour+pair:dies nom pl}?
    {who} {who+need} {colour+pair:pl}.
    {who:nom} {who+need} {colour+pair:- acc pl}.
    I would like {few} kilos of {fruit}, please.
    Ich möchte bitte {few} Kilo {fruit}.
    We still need {grocery} and {fruit}.
    Wir brauchen noch {grocery:bare} und {fruit}.
    We have no {grocery} left, {dear}.
    Wir haben {grocery:kein acc} mehr, {dear}.
    {who} bought {few} kilos of {fruit} at the market.
    {who:nom} {who+have} auf dem Markt {few} Kilo {fruit} gekauft.
"""

PHRASE_BOOK["numbers and clock times"] = """
    It is {clock}.
    Es ist {clock}.
    No, it is only {clock}.
    Nein, es ist erst {clock}.
    Yes, {sum}.
    Ja, {sum}.
    {who} {who+get_up} at {clock}.
    {who:nom} {who+get_up} um {clock} auf.
    The {event} begins at {clock}.
    {event:der nom} beginnt um {clock}.
    Does the {event} begin at {clock}?
    Beginnt {event:der nom} um {clock}?
    The {event} lasts {hours} hours.
    {event:der nom} dauert {hours} Stunden.
    The {shop} opens at {clock}.
    {shop:der nom} macht um {clock} auf.
    The {shop} closes at {clock}.
    {shop:der nom} macht um {clock} zu.
    The {opening} is open from {morning} to {afternoon} o'clock.
    {opening:der nom} ist von {morning} bis {afternoon} Uhr geöffnet.
    We are meeting at {clock} {beside} the {place}.
    Wir treffen uns um {clock} {beside} {place:der dat}.
"""

PHRASE_BOOK["appointments"] = """
    {who} {who+have} an appointment on {day} at {clock}.
    {who:nom} {who+have} am {day} um {clock} einen Termin.
    {who} {who+have} an appointment with the {practice} on {day}.
    {who:nom} {who+have} am {day} einen Termin bei {practice:der dat}.
    I have an appointment with {titled} at {clock}.
    Ich habe um {clock} einen Termin mit {titled:dat}.
    Do you have time on {day} at {clock}, {dear}?
    Hast du am {day} um {clock} Zeit, {dear}?
    Do you have time on {day} at {clock}, {titled}?
    Haben Sie am {day} um {clock} Zeit, {titled:nom}?
    Unfortunately {who} cannot come on {day}.
    Leider {who+can} {who:nom} am {day} nicht kommen.
    The {event} is on {day}, the {nth} of {month}.
    {event:der nom} ist am {day}, dem {nth}en {month}.
    {single} was born on the {nth} of {month}.
    {single:nom} ist am {nth}en {month} geboren.
    {who} {who+be} going to {city} in {month}.
    {who:nom} {who+go} im {month} nach {city}.
    Can we move the {event} from {day} to {day2}?
    Können wir {event:der acc} von {day} auf {day2} verschieben?
    Please call me on {day} at {clock}, {titled}.
    Bitte rufen Sie mich am {day} um {clock} an, {titled:nom}.
    Please call me on {day} at {clock}, {dear}.
    Bitte ruf mich am {day} um {clock} an, {dear}.
    The {opening} is closed on {day}s.
    {opening:der nom} ist {day:habitual} geschlossen.
"""

PHRASE_BOOK["weather"] = """
    It is {sky} in {city} today.
    In {city} ist es heute {sky}.
    It was {sky} in {city} {past}.
    {past} war es in {city} {sky}.
    It will be {sky} in {city} {future}.
    {future} wird es in {city} {sky}.
    It is {rain:ing} in {city}.
    In {city} {he+rain} es.
    It {rain:past} in {city} {past}.
    {past} hat es in {city} {rain:participle}.
    Will it {rain} in {city} {future}?
    Wird es {future} in {city} {rain:inf}?
    It is {degrees} degrees in {city} today.
    In {city} sind es heute {degrees} Grad.
    Put on a warm {warm_garment}, {dear}, because it is {chill}.
    Zieh {warm+warm_garment:ein acc} an, {dear}, weil es {chill} ist.
    When it {he+rain}, {who} {freq} {who+indoors}.
    Wenn es {he+rain}, {who+indoors} {who:nom} {freq} {indoors:rest}.
    If it {he+rain} {future}, {who} will {indoors}.
    Wenn es {future} {he+rain}, {who+indoors} {who:nom} {indoors:rest}.
    {who} {who+mental} that it is {rain:ing} in {city}.
    {who:nom} {who+mental}, dass es in {city} {he+rain}.
"""

PHRASE_BOOK["family and people"] = """
    This is {owner+kin}.
    Das ist {owner+kin:poss nom}.
    {owner+kinswoman} is called {woman}.
    {owner+kinswoman:poss nom} heißt {woman:nom}.
    {owner+kinsman} is called {man}.
    {owner+kinsman:poss nom} heißt {man:nom}.
    {owner+young} is {high} years old.
    {owner+young:poss nom} ist {high} Jahre alt.
    How old is your {kin}, {dear}?
    Wie alt ist {kin:dein nom}, {dear}?
    How old is your {kin}, {titled}?
    Wie alt ist {kin:Ihr nom}, {titled:nom}?
    Does your {kin} live in {city}, {titled}?
    Wohnt {kin:Ihr nom} in {city}, {titled:nom}?
    {single} is a {job}.
    {single:nom} ist {single+job}.
    {who} {who+live} in {city}.
    {who:nom} {who+live} in {city}.
    {who} {who+have} lived in {city} for {few} years.
    {who:nom} {who+live} seit {few} Jahren in {city}.
    {friend} {friend+have} {count+some_men} and {count2+some_women}.
    {friend:nom} {friend+have} {count+some_men:acc} und {count2+some_women:acc}.
    {friend} {friend+be} giving {friend+kin} a {look+gift}.
    {friend:nom} {friend+give} {friend+kin:poss dat} {look+gift:ein acc}.
    This {gift} is for {who:object}.
    {gift:dies nom} ist für {who:acc}.
    {friend} {friend+be} visiting {friend+kin} {future}.
    {friend:nom} {friend+visit} {future} {friend+kin:poss acc}.
    {friend} {friend+help} {friend+kin} in the garden.
    {friend:nom} {friend+help} {friend+kin:poss dat} im Garten.
    {who} {who+be} {state}.
    {who:nom} {who+be} {state}.
    Are you {state}, {dear}?
    Bist du {state}, {dear}?
"""

PHRASE_BOOK["at home"] = """
    Do you have a {look+gift}, {dear}?
    Hast du {look+gift:ein acc}, {dear}?
    Have you seen my {look+gift}, {dear}?
    Hast du {look+gift:mein acc} gesehen, {dear}?
    Do not forget your {thing}, {dear}.
    Vergiss {thing:dein acc} nicht, {dear}.
    The {thing} is {where} the {furniture}.
    {thing:der nom} ist {where} {furniture:der dat}.
    Put the {thing} {where} the {furniture}, {dear}.
    Leg {thing:der acc} {where} {furniture:der acc}, {dear}.
    {who} {who+have} no {thing}.
    {who:nom} {who+have} {thing:kein acc}.
    {who} {who+be:past} at the {sight} {past}.
    {who:nom} {who+be:past} {past} in {sight:der dat}.
    {who} {who+be:past} {state} {past}.
    {who:nom} {who+be:past} {past} {state}.
    Have you already {chore:done}, {dear}?
    Hast du {chore:objects} schon {chore:participle}, {dear}?
    You have to {act} {future}, {dear}.
    Du musst {future} {act:inf}, {dear}.
    Let's {treat} {future}, {dear}.
    Lass uns {future} {treat:inf}, {dear}.
"""

PHRASE_BOOK["daily life"] = """
    {who} {act:past} {past}.
    {who:nom} {who+act:aux} {past} {act:done}.
    {past} {who} {act:past}.
    {past} {who+act:aux} {who:nom} {act:done}.
    Did {other} {act} {past}?
    {other+act:aux} {other:nom} {past} {act:done}?
    Who {act:past} {past}?
    Wer {he+act:aux} {past} {act:done}?
    Why did {other} {act} {past}?
    Warum {other+act:aux} {other:nom} {past} {act:done}?
    {who} did not {chore} {past}.
    {who:nom} {who+chore:aux} {chore:objects} {past} nicht {chore:participle}.
    {who} did not {outing} {past}.
    {who:nom} {who+outing:aux} {past} nicht {outing:done}.
    {who} {who+have} already {chore:done}.
    {who:nom} {who+chore:aux} {chore:objects} schon {chore:participle}.
    {who} {who+have} not {chore:done} yet.
    {who:nom} {who+chore:aux} {chore:objects} noch nicht {chore:participle}.
    {who} {who+be} {task:ing}.
    {who:nom} {who+task} gerade {task:rest}.
    Why {other+be} {other} {task:ing}?
    Warum {other+task} {other:nom} gerade {task:rest}?
    {who} {freq} {who+act}.
    {who:nom} {who+act} {freq} {act:rest}.
    {who} will {act} {future}.
    {who:nom} {who+act} {future} {act:rest}.
    {who} will probably {act} {future}.
    {who:nom} {who+will} {future} wahrscheinlich {act:inf}.
    {who} {who+modal} {act} {future}.
    {who:nom} {who+modal} {future} {act:inf}.
    {future} {who} {who+modal} {act}.
    {future} {who+modal} {who:nom} {act:inf}.
    Can {who} {act} {future}?
    {who+can} {who:nom} {future} {act:inf}?
    {who} cannot {chore} {future}.
    {who:nom} {who+can} {chore:objects} {future} nicht {chore:verb}.
    {who} {who+do} not want to {outing} {future}.
    {who:nom} {who+want} {future} nicht {outing:inf}.
    {who} forgot to {chore}.
    {who:nom} {who+have} vergessen, {chore:zu}.
    {who} {who+have} no time to {act}.
    {who:nom} {who+have} keine Zeit, {act:zu}.
"""

PHRASE_BOOK["subordinate clauses"] = """
    {who} {who+be} {state} because {who:pronoun} {act:past} {past}.
    {who:nom} {who+be} {state}, weil {who:pronoun} {past} {act:done} {who+act:aux}.
    {who} cannot {outing} because {who:pronoun} {who+have_to} {chore}.
    {who:nom} {who+can} nicht {outing:inf}, weil {who:pronoun} {chore:inf} {who+have_to}.
    {who} {act:past} {past} although {who:pronoun} {who+be:past} {state}.
    {who:nom} {who+act:aux} {past} {act:done}, obwohl {who:pronoun} {state} {who+be:past}.
    {who} {who+mental} that {single} {single+modal} {act} {future}.
    {who:nom} {who+mental}, dass {single:nom} {future} {act:inf} {single+modal}.
    {who} {who+mental} that {single} {freq} {single+act}.
    {who:nom} {who+mental}, dass {single:nom} {freq} {act:objects} {single+act:final}.
    When {who} {who+be} {state}, {who:pronoun} {who+indoors}.
    Wenn {who:nom} {state} {who+be}, {who+indoors} {who:pronoun} {indoors:rest}.
    {who} {who+do} not know whether {single} can come on {day}.
    {who:nom} {who+know} nicht, ob {single:nom} am {day} kommen kann.
    {who} {who+do} not know when the {coach} to {city} leaves.
    {who:nom} {who+know} nicht, wann {coach:der nom} nach {city} abfährt.
    {who} {who+do} not know where the {place} is.
    {who:nom} {who+know} nicht, wo {place:der nom} ist.
    Can you tell me whether the {opening} is open on {day}?
    Können Sie mir sagen, ob {opening:der nom} am {day} geöffnet ist?
"""

PHRASE_BOOK["travel"] = """
    I would like {count+ticket} to {city} for {day}.
    Ich möchte {count+ticket:acc} nach {city} für {day}.
    The {coach} to {city} leaves at {clock}.
    {coach:der nom} nach {city} fährt um {clock} ab.
    The {coach} from {city} arrives at {clock}.
    {coach:der nom} aus {city} kommt um {clock} an.
    The train to {city} leaves from platform {few}.
    Der Zug nach {city} fährt von Gleis {few} ab.
    When does the next {coach} to {city} leave?
    Wann fährt {next+coach:der nom} nach {city} ab?
    The {coach} to {city} is {num} minutes late.
    {coach:der nom} nach {city} hat {num} Minuten Verspätung.
    {who} {who+be} going to {city} {journey} {future}.
    {who:nom} {who+go} {future} {journey} nach {city}.
    {who} went to {city} {journey} {past}.
    {who:nom} {who+be} {past} {journey} nach {city} gefahren.
    {who} {who+have_to} change trains in {city}.
    {who:nom} {who+have_to} in {city} umsteigen.
    {friend} lost {friend+thing} on the {coach}.
    {friend:nom} {friend+have} in {coach:der dat} {friend+thing:poss acc} verloren.
"""

PHRASE_BOOK["health"] = """
    {patient+body} hurts.
    {patient+body:poss nom} tut weh.
    {patient+body} has been hurting since {day}.
    {patient+body:poss nom} tut seit {day} weh.
    {single} has {illness}.
    {single:nom} hat {illness}.
    {single} has had {illness} since {day}.
    {single:nom} hat seit {day} {illness}.
    You should {treat} {future}, {titled}.
    Sie sollten {future} {treat:inf}, {titled:nom}.
"""

# Compositions of pieces known from other patterns; these occur in the test split only.
HELD_OUT = """
    {who} cannot come on {day} because {who:pronoun} {who+be} {trouble}.
    {who:nom} {who+can} am {day} nicht kommen, weil {who:pronoun} {trouble} {who+be}.
    {who} {who+mental} that {single} {act:past} {past}.
    {who:nom} {who+mental}, dass {single:nom} {past} {act:done} {single+act:aux}.
    {who} {who+mental} that the {opening} is closed on {day}s.
    {who:nom} {who+mental}, dass {opening:der nom} {day:habitual} geschlossen ist.
    Can you tell me when the {coach} to {city} leaves?
    Können Sie mir sagen, wann {coach:der nom} nach {city} abfährt?
    If it {he+rain} {future}, {who} cannot {outdoors}.
    Wenn es {future} {he+rain}, {who+can} {who:nom} nicht {outdoors:inf}.
    Why did {other} buy a {colour+garment} {past}?
    Warum {other+have} {other:nom} {past} {colour+garment:ein acc} gekauft?
    Did you {task} {past}, {dear}?
    Hast du {past} {task:done}, {dear}?
"""

# --------------------------------------------------------------------------------------
# Filling the patterns
# --------------------------------------------------------------------------------------

FIELD = re.compile(r"\{([^{}:]+):?([^{}]*)\}")


@dataclass(frozen=True)
class Pattern:
    """A line of English and a line of German over the same slots."""

    en: str
    de: str

    def slots(self) -> list[str]:
        used = {language: self.slots_of(language) for language in (self.en, self.de)}
        if used[self.en] != used[self.de]:
            raise ValueError(f"slots differ: {self.en} / {self.de}")
        return sorted(used[self.en])

    @staticmethod
    def slots_of(line: str) -> set[str]:
        names = {name for field, _ in FIELD.findall(line) for name in field.split("+")}
        return names - LEXICON.keys()

    def sample(self, size: int, rng: random.Random) -> Iterator[tuple[str, str]]:
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

    def fill(self, chosen: dict[str, Entry]) -> tuple[str, str]:
        entries = LEXICON | chosen

        def english(match: re.Match[str]) -> str:
            left, word = self.operands(match[1], entries)
            return word.english(match[2], left)

        def german(match: re.Match[str]) -> str:
            left, word = self.operands(match[1], entries)
            return word.german(match[2], left)

        return (
            polish_english(FIELD.sub(english, self.en)),
            polish_german(FIELD.sub(german, self.de)),
        )

    @staticmethod
    def operands(field: str, entries: dict[str, Entry]) -> tuple[Entry | None, Entry]:
        left, _, word = field.rpartition("+")
        return entries[left] if left else None, entries[word]


def patterns(text: str) -> list[Pattern]:
    lines = [line.strip() for line in text.strip().splitlines()]
    return [Pattern(en, de) for en, de in zip(lines[::2], lines[1::2], strict=True)]


# --------------------------------------------------------------------------------------
# The splits
# --------------------------------------------------------------------------------------

Pair = tuple[str, str]


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
    return [(side, word) for side, text in enumerate(pair) for word in words(text)]


def draw_pairs(book: Sequence[Pattern], size: int, rng: random.Random) -> list[Pair]:
    """Draw ``size`` distinct pairs, of every pattern in proportion to its number of slots."""
    draws: list[Iterator[Pair]] = []
    for pattern in book:
        draws += [pattern.sample(size // 50, rng)] * len(pattern.slots())
    pairs: dict[str, str] = {}
    while len(pairs) < size and draws:
        draws = [draw for draw in draws if add_pair(pairs, draw)]
    return list(pairs.items())[:size]


def add_pair(pairs: dict[str, str], draw: Iterator[Pair]) -> bool:
    """Add the next pair of ``draw``, if there is one left."""
    if (pair := next(draw, None)) is None:
        return False
    english, german = pair
    if pairs.setdefault(english, german) != german:
        raise ValueError(f"two translations of {english!r}: {pairs[english]!r}, {german!r}")
    return True


def set_aside(pairs: list[Pair], size: int) -> tuple[list[Pair], list[Pair]]:
    """Take ``size`` pairs out of ``pairs`` whose words stay frequent in the rest."""
    counts = Counter(word for pair in pairs for word in tagged_words(pair))
    targets = Counter(german for _, german in pairs)
    aside: list[Pair] = []
    rest: list[Pair] = []
    for pair in pairs:
        own = Counter(tagged_words(pair))
        frequent = all(counts[word] - own[word] >= MIN_TRAIN_COUNT for word in own)
        if len(aside) < size and targets[pair[1]] == 1 and frequent:
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
    lines = (f"{english}\t{german}\n" for english, german in pairs)
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate the synthetic everyday corpus.")
    parser.add_argument("--output", type=Path, default=Path("data/everyday"), metavar="DIR")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    corpus = make_corpus(arguments.seed)
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_pairs(arguments.output / "train.tsv", corpus.train)
    write_pairs(arguments.output / "validation.tsv", corpus.validation)
    write_pairs(arguments.output / "test.tsv", corpus.test)
    print("\n".join(report(corpus)))


if __name__ == "__main__":
    main()
