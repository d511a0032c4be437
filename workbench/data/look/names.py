"""What a column's name says of it: a weak witness, heard where the values leave a doubt."""

from __future__ import annotations

import re

TIME = {"ts", "time", "timestamp", "date", "datetime", "at", "epoch", "created", "when", "day"}
BIRTH = {"birth", "birthday", "birthdate", "dob", "born"}
LATER = {"end", "ended", "closed", "resolved", "updated", "modified", "delivered", "reported"}
LATER |= {"cancelled", "canceled", "churned", "died", "death", "returned", "paid", "completed"}
ID = {"id", "ids", "uuid", "guid", "key", "pk", "identifier"}
NUMBERED = {"no", "nr", "number", "ref", "rownum", "row", "index", "code"}
"""Last words of what may name rows, or may count something."""
ENTITY = {"customer", "user", "patient", "client", "account", "member", "person", "subject"}
ENTITY |= {"household", "driver", "employee", "student", "device", "card", "company", "player"}
CODE = {"code", "type", "class", "pclass", "zip", "zipcode", "plz", "postcode", "postal", "status"}
CODE |= {"category", "cat", "sector", "region", "icd", "sic", "naics", "group", "cluster", "kind"}
COUNT = {"count", "score", "rating", "age", "rooms", "quantity", "qty", "years", "days", "points"}
COUNT |= {"total", "n", "amount"}


def words_of(name: str) -> frozenset[str]:
    """Return the words of a name, lower: `customerID`, `customer-id` and `Customer_Id` agree."""
    return frozenset(_split(name))


def is_identifier(name: str) -> bool:
    """Whether the name says that values name things: `order_id`, `PassengerId`."""
    return _last(name) in ID


def may_name_rows(name: str) -> bool:
    """Whether the name fits a key: an identifier, or `order number`."""
    return _last(name) in ID | NUMBERED


def names_entities(name: str) -> bool:
    """Whether the name is that of a thing which rows may share: `customer`, `card number`."""
    about = bool(words_of(name) & ENTITY)
    return is_identifier(name) or _last(name) in ENTITY or (about and may_name_rows(name))


def _last(name: str) -> str:
    """The last word of a name, lower."""
    words = _split(name)
    return words[-1] if words else ""


def _split(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W_]+", apart.lower())
