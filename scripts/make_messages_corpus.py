"""Generate a small synthetic corpus of messages and their subject lines.

    python scripts/make_messages_corpus.py [--output data/messages] [--seed 1]

A message has a greeting, one to three sentences of chatter, one sentence with news, and a closing.
Its subject sums up the news. The chatter names people, days and places, too. So a model must find
the sentence that matters, wherever it stands, and leave out the rest.

The news follows EVENTS: a subject, and several ways to say it, whose slots are filled from WORDS.
No subject of the validation and test splits occurs in training, so none can be learnt by heart.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

TRAIN_SIZE, VALIDATION_SIZE, TEST_SIZE = 6000, 300, 300

WORDS = {
    kind: words.split(", ")
    for kind, words in {
        "person": "Anna, Ben, Clara, David, Emma, Felix, Grace, Hugo, Ida, Jonas, Karen, Leo, "
        "Maria, Nina, Oscar, Paula, Robert, Sarah, Tom, Vera",
        "day": "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday",
        "hour": "eight, nine, ten, eleven, twelve, two, three, four, five, six",
        "city": "Berlin, Hamburg, Lisbon, London, Madrid, Oslo, Paris, Prague, Rome, Vienna",
        "room": "library, kitchen, hall, garden room, small office, meeting room, canteen",
        "meeting": "meeting, workshop, interview, training, call, lunch, dinner, presentation",
        "thing": "laptop, projector, printer, coffee machine, lift, heating, camera, scanner",
        "document": "report, contract, invoice, budget, programme, questionnaire, timetable",
        "vehicle": "train, bus, flight, ferry",
        "parcel": "parcel, letter, box of books, new chair, key",
        "reason": "is ill, is on holiday, missed the train, has another appointment, must work",
    }.items()
}
"""Words by the kind of slot that they fill."""


class Event(NamedTuple):
    """News: its subject, and ways to say it."""

    subject: str
    news: Sequence[str]


EVENTS = (
    Event(
        "{meeting} with {person} moved to {day}",
        (
            "The {meeting} with {person} cannot be on {day2}, so we moved it to {day}.",
            "{person} {reason}, and therefore the {meeting} will be on {day} instead of {day2}.",
            "Please note that we will have the {meeting} with {person} on {day}, not on {day2}.",
        ),
    ),
    Event(
        "{meeting} on {day} cancelled",
        (
            "I am sorry, but there will be no {meeting} on {day}, because {person} {reason}.",
            "We have to cancel the {meeting} on {day}, as {person} {reason}.",
            "You need not come to the {meeting} on {day}, for it will not take place.",
        ),
    ),
    Event(
        "{meeting} at {hour} in the {room}",
        (
            "The {meeting} begins at {hour} and is in the {room} this time.",
            "We meet in the {room} at {hour} for the {meeting}.",
            "Please come to the {room} at {hour}, where we have the {meeting}.",
        ),
    ),
    Event(
        "{thing} in the {room} broken",
        (
            "The {thing} in the {room} does not work any more.",
            "Since {day}, nobody can use the {thing} in the {room}, because it is broken.",
            "Somebody should repair the {thing} in the {room}, which is out of order.",
        ),
    ),
    Event(
        "{document} due on {day}",
        (
            "Do not forget that we need the {document} by {day}.",
            "{person} asked me to remind you of the {document}, which must be ready on {day}.",
            "Could you send the {document} to {person} before the end of {day}?",
        ),
    ),
    Event(
        "{vehicle} to {city} late",
        (
            "The {vehicle} to {city} is two hours late, and we are still waiting.",
            "Our {vehicle} has not left yet, so we will be in {city} later than planned.",
            "There is a delay, and the {vehicle} will not reach {city} before {hour}.",
        ),
    ),
    Event(
        "{person} moves to {city}",
        (
            "{person} has found a new job and will live in {city} from next month.",
            "Have you heard that {person} leaves us and goes to live in {city}?",
            "Next year {person} will move to {city} with the whole family.",
        ),
    ),
    Event(
        "{parcel} for {person} arrived",
        (
            "A {parcel} for {person} came this morning and is at the reception.",
            "Please tell {person} that the {parcel} from {city} is here.",
            "{person} can fetch the {parcel}, which was delivered on {day}.",
        ),
    ),
    Event(
        "{person} looks for a flat in {city}",
        (
            "{person} needs a flat in {city}; do you know of one?",
            "If you hear of a flat in {city}, please tell {person}, who is looking for one.",
            "It is hard to find a flat in {city}, but {person} would like to live there.",
        ),
    ),
    Event(
        "Tickets for {city} on {day}",
        (
            "I have two tickets for the {vehicle} to {city} on {day}; would you like to come?",
            "We could go to {city} on {day}, since {person} gave me tickets.",
            "The tickets to {city} are for {day}, so please keep that day free.",
        ),
    ),
)

GREETINGS = ("Hi {person},", "Dear {person},", "Hello {person},", "Good morning {person},")
CLOSINGS = (
    "Best wishes, {person}",
    "See you soon, {person}",
    "Thanks, {person}",
    "Yours, {person}",
)
CHATTER = (
    "I hope you are well.",
    "Thank you for your letter from {city}.",
    "It rained all day on {day}.",
    "We spent the weekend in {city} with {person}.",
    "The food in the canteen was good on {day}.",
    "{person} sends you greetings from {city}.",
    "On {day} I got up at {hour} and read a book.",
    "My neighbour {person} has a new dog.",
    "The weather in {city} is warmer than here.",
    "How was the concert on {day}?",
    "I still have to buy a present for {person}.",
    "Last year {person} and I were in {city}.",
    "The new {thing} is quieter than the old one.",
    "I was late on {day}, because I forgot my key in the {room}.",
    "We should drink a coffee together when {person} is back.",
    "Nothing else is new here.",
    "{person} told me about the film that you saw on {day}.",
    "I could not sleep until {hour}.",
)
SLOT = re.compile(r"{([a-z]+)\d?}")


def fill(template: str, words: dict[str, str], random: random.Random) -> str:
    """Fill the slots of a template. Slots that are not in `words` get a new word of their kind."""
    words = dict(words)
    for found in SLOT.finditer(template):
        slot, kind = found[0][1:-1], found[1]
        if slot not in words:
            others = [word for word in WORDS[kind] if word not in words.values()]
            words[slot] = random.choice(others)
    return template.format(**words)


def message(random: random.Random) -> tuple[str, str]:
    """A message and its subject."""
    event = random.choice(EVENTS)
    words: dict[str, str] = {}
    for slot in SLOT.findall(event.subject):
        words[slot] = random.choice(WORDS[slot])
    sentences = [fill(one, {}, random) for one in random.sample(CHATTER, random.randint(1, 3))]
    place = random.randint(0, len(sentences))
    sentences.insert(place, fill(random.choice(event.news), words, random))
    greeting, closing = (fill(random.choice(some), {}, random) for some in (GREETINGS, CLOSINGS))
    subject = event.subject.format(**words)
    return " ".join([greeting, *sentences, closing]), subject[0].upper() + subject[1:]


def splits(seed: int) -> dict[str, list[tuple[str, str]]]:
    """Messages of each split. A subject belongs to one split only."""
    source = random.Random(seed)
    wanted = {"test": TEST_SIZE, "validation": VALIDATION_SIZE, "train": TRAIN_SIZE}
    split_of: dict[str, str] = {}
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in wanted}
    seen = set()
    while any(len(found[name]) < size for name, size in wanted.items()):
        text, subject = message(source)
        drawn = source.choices(list(wanted), [1, 1, 6])[0]
        name = split_of.setdefault(subject, drawn)
        if len(found[name]) < wanted[name] and text not in seen:
            seen.add(text)
            found[name].append((text, subject))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("data/messages"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name, pairs in splits(options.seed).items():
        lines = "".join(f"{text}\t{subject}\n" for text, subject in pairs)
        (options.output / f"{name}.tsv").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()
