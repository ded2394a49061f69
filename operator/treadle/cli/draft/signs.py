"""What the name of a column and the looks of its values say about it."""

import re
from collections.abc import Iterable, Sequence

from treadle.api.datasource import ColumnType, Constraints, Role
from treadle.api.rules import KEY_PATTERN
from treadle.cli.draft.survey import Facts

SURE_ROWS = 300
"""With so many rows and not one exception, exceptions are rarer than 1 % with 95 % confidence (rule of three)."""
SMALL_SET = 12
"""Distinct texts that a constraint lists."""
REPEATED = 100
"""Distinct values from which an identifier that repeats stands for groups of rows."""


def words(name: str) -> list[str]:
    """Return the words of a column's name in small letters: saleDate_2 is sale, date, 2."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\W_]+", parted.casefold()) if word]


def named(name: str, among: Iterable[str]) -> bool:
    """Say whether words of a name, one after the other, are one of these."""
    text = f" {' '.join(words(name))} "
    return any(f" {word} " in text for word in among)


def _of(text: str) -> frozenset[str]:
    return frozenset(text.split(", "))


IDS = _of("id, ids, uuid, guid, identifier, rowid")
NUMBERED = _of("nr, no, number, key, code, index, row, reference, ref")
"""Last words of names that are ids where each row has another."""
TIMES = _of("time, date, timestamp, datetime, at, day, when, datum, zeit, month, on")

# An address on the net before an address: "ip address" is one too.
PERSONAL = {
    "an address on the net": _of("ip, ip address, ipaddress, ipv4, ipv6, mac address, device id"),
    "a mail address": _of("email, e mail, mail"),
    "a telephone number": _of("phone, telephone, mobile number, cell number, fax, tel, telefon"),
    "a person's name": _of(
        "first name, last name, full name, surname, firstname, lastname, fullname, given name, family name, "
        "maiden name, middle name, username, user name, customer name, client name, patient name, person name, "
        "owner name, employee name, passenger name, driver name, contact name, author name, member name, vorname, "
        "nachname, prenom, apellido"
    ),
    "an address": _of("address, street, addr, adresse, strasse"),
    "a date of birth": _of("birth, dob, birthday, birthdate, born, geburtsdatum"),
    "a number that names a person, or what is theirs": _of(
        "ssn, social security, passport, iban, tax id, national id, credit card, card number, driver license, "
        "licence no, licence plate, license plate, number plate, vin, tail number, tailnum, tail num"
    ),
}
# Special categories of personal data: GDPR, article 9.
SENSITIVE = {
    "origin": _of("race, ethnicity, ethnic"),
    "belief": _of("religion, political, trade union"),
    "health": _of("disability, disabilities, hiv"),
    "sex life": _of("sexual orientation"),
}

LOOKS = {
    "mail": "looks like mail addresses",
    "phone": "looks like telephone numbers",
    "ip": "looks like addresses on the net",
    "iban": "looks like bank accounts",
    "social": "looks like social security numbers",
}
LOOKS_FROM = 0.8
"""Share of texts that look so."""


def personal(facts: Facts) -> str:
    """Return what of a person the values are, by the column's name, then by their looks; empty for public ones."""
    if words(facts.name) == ["name"] and facts.is_text and facts.distinct > SMALL_SET:
        return "a person's name"
    for what, names in (SENSITIVE | PERSONAL).items():
        if named(facts.name, names):
            return what
    return next((what for look, what in LOOKS.items() if facts.looks.get(look, 0) >= LOOKS_FROM), "")


def is_id(facts: Facts) -> bool:
    """Say whether a column names the row."""
    if not facts.is_unique or facts.reading is not None:
        return False
    if facts.type is ColumnType.INTEGER:
        return facts.counts_up or named(facts.name, IDS) or words(facts.name)[-1:] in ([last] for last in NUMBERED)
    return facts.is_text and facts.looks.get("word", 0) == 1


def is_group(facts: Facts) -> bool:
    """Say whether a column names what several rows belong to."""
    repeats = REPEATED <= facts.distinct <= (facts.rows - facts.nulls) / 2
    return repeats and (facts.type is ColumnType.INTEGER or facts.is_text) and named(facts.name, IDS)


def time_column(able: Sequence[Facts], target: Facts) -> Facts | None:
    """Return the column that says when: of those that do, one named so, without nulls, with the most moments."""
    found = [f for f in able if f.is_time and f is not target and not personal(f) and f.distinct > 1]
    return max(found, key=lambda f: (f.nulls == 0, named(f.name, TIMES), f.distinct), default=None)


BOUNDS: tuple[tuple[frozenset[str], str, str | None], ...] = (
    (_of("hour"), "0", "23"),
    (_of("minute, second"), "0", "59"),
    (_of("month"), "1", "12"),
    (_of("day of month"), "1", "31"),
    (_of("weekday, day of week, dow"), "0", "7"),
    (_of("percent, percentage, pct"), "0", "100"),
    (_of("latitude, lat"), "-90", "90"),
    (_of("longitude, lon, lng"), "-180", "180"),
    (
        _of(
            "age, count, distance, length, width, height, size, area, weight, duration, price, amount, cost, fare, "
            "quantity, qty, salary, income, rent, rooms"
        ),
        "0",
        None,
    ),
)
"""Names of quantities that nature bounds. What merely was the largest value so far bounds nothing."""


def constraints(facts: Facts, role: Role | None) -> Constraints | None:
    """Return what every value of a column must satisfy, where that is a matter of what it is, not of this file."""
    if role is Role.ID:
        return Constraints(unique=True)
    if role is Role.NONE or facts.type is None:
        return None
    if facts.is_number:
        for among, least, most in BOUNDS:
            low = facts.least is not None and facts.least >= float(least)
            high = most is None or (facts.most is not None and facts.most <= float(most))
            if named(facts.name, among) and low and high:
                return Constraints(min=least, max=most)
        return None
    listed = sorted(text for text, _ in facts.values)
    is_closed = role is Role.TARGET or (facts.singles == 0 and facts.rows >= SURE_ROWS)
    fit = all(len(text) <= 128 and not re.search(KEY_PATTERN, text) for text in listed)
    if facts.is_text and is_closed and fit and 2 <= len(listed) <= SMALL_SET:
        return Constraints(values=listed)
    return None
