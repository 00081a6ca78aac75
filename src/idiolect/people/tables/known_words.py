"""Words by which the columns and scales of surveys are recognized, all in the form of `typography.folded`.

These are guesses: whatever is recognized by them is printed, and every one of them can be overridden by an option.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from idiolect.people.typography import folded

IDS = (
    "id",
    "user id",
    "userid",
    "user",
    "respondent id",
    "respondentid",
    "respondent",
    "response id",
    "responseid",
    "participant id",
    "participantid",
    "participant",
    "person id",
    "person",
    "case id",
    "caseid",
    "subject id",
    "subject",
    "qkey",
    "key",
    "uuid",
    "record id",
    "submission id",
    "prolific pid",
    "worker id",
    "workerid",
    *("teilnehmer", "respid", "resp id", "respondent number", "case", "case number", "caseno", "pid", "uid", "lfdn"),
    *("subjid", "session id", "panelist id", "serial number", "serial", "antwort id", "#"),
)
QUESTIONS = ("question", "question text", "questiontext", "item", "item text", "statement", "prompt", "frage")
ANSWERS = ("answer", "answer text", "response", "response text", "reply", "value", "rating", "choice", "antwort")
CHOICES = ("choices", "options", "answer options", "answers", "scale", "antworten")
DATES = ("date", "answered at", "asked at", "timestamp", "time", "datum", "created at", "submitted at")
ORDINALS = ("ordinal", "is ordinal")

_PROFILE = (
    "age",
    "age group",
    "gender",
    "sex",
    "education",
    "household income",
    "income",
    "region",
    "census region",
    "country",
    "state",
    "city",
    "location",
    "lives in",
    "race",
    "ethnicity",
    "religion",
    "party",
    "political party",
    "political affiliation",
    "ideology",
    "marital",
    "marital status",
    "employment",
    "employment status",
    "occupation",
    "job",
    "profession",
    "nationality",
    "citizenship",
    "native language",
    "children",
    "how old are you",
    "age range",
    "gender identity",
    "highest level of education",
    "level of education",
    "education level",
    "country of residence",
    "annual household income",
    "household size",
    "department",
    "alter",
    "geschlecht",
    "bildung",
    "beruf",
    "land",
)
_META = frozenset(
    {
        "startdate",
        "start date",
        "enddate",
        "end date",
        "recordeddate",
        "recorded date",
        "timestamp",
        "date",
        "date created",
        "date modified",
        "status",
        "response type",
        "ipaddress",
        "ip address",
        "progress",
        "duration",
        "duration (in seconds)",
        "finished",
        "locationlatitude",
        "location latitude",
        "locationlongitude",
        "location longitude",
        "distributionchannel",
        "distribution channel",
        "userlanguage",
        "user language",
        "externalreference",
        "external data reference",
        "recipientlastname",
        "recipient last name",
        "recipientfirstname",
        "recipient first name",
        "recipientemail",
        "recipient email",
        "collector id",
        "collectorid",
        "weight",
        "unnamed: 0",
        "index",
        *("submit date", "submitdate", "date submitted", "date started", "date last action", "datestamp", "datum"),
        *("last page", "lastpage", "start language", "startlanguage", "seed", "referrer url", "refurl", "total time"),
        *("network id", "tags", "ending", "stage date", "start time", "completion time", "last modified time"),
        *("started at", "completed at", "submitted at", "created at", "updated at", "time taken", "total points"),
        *("submission time", "validation status", "_notes", "submitted by", "__version__", "deviceid", "device id"),
        *("simserial", "subscriberid", "instanceid", "meta/instanceid", "formhub/uuid", "redcap event name"),
        *("redcap survey identifier", "token", "zeitstempel", "horodateur", "marca temporal"),
    }
)
_PERSONAL = frozenset(
    {
        "name",
        "full name",
        "first name",
        "last name",
        "surname",
        "email",
        "e-mail",
        "email address",
        "e-mail address",
        "username",
        "phone",
        "phone number",
        "telephone",
        "address",
        "custom data 1",
        *("what is your name?", "your name", "phonenumber", "e mail", "mail", "vorname", "nachname", "prolific id"),
    }
)

_BARE = re.compile(r"\(.*?\)|[?:.*]")
_ASKED = re.compile(r"^(?:(?:what is|what's|please (?:select|enter|state|indicate|choose|specify)) )?(?:your|the) ")
_AGREE = (
    "strongly disagree",
    "disagree",
    "somewhat disagree",
    "neither agree nor disagree",
    "somewhat agree",
    "agree",
    "strongly agree",
)
SCALES: tuple[tuple[str, ...], ...] = (
    ("strongly disagree", "disagree", "agree", "strongly agree"),
    ("strongly disagree", "disagree", "neither agree nor disagree", "agree", "strongly agree"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
    ("strongly disagree", "somewhat disagree", "neither agree nor disagree", "somewhat agree", "strongly agree"),
    ("strongly disagree", "somewhat disagree", "neutral", "somewhat agree", "strongly agree"),
    ("strongly disagree", "somewhat disagree", "somewhat agree", "strongly agree"),
    _AGREE,
    ("strongly oppose", "oppose", "support", "strongly support"),
    ("strongly oppose", "somewhat oppose", "somewhat support", "strongly support"),
    ("strongly oppose", "somewhat oppose", "somewhat favor", "strongly favor"),
    ("never", "rarely", "sometimes", "often", "always"),
    ("never", "rarely", "sometimes", "often"),
    ("never", "seldom", "sometimes", "often", "always"),
    ("never", "hardly ever", "sometimes", "often"),
    ("never", "yearly", "monthly", "weekly", "daily"),
    ("never", "rarely", "weekly", "daily"),
    ("never", "rarely", "monthly", "weekly", "daily"),
    ("not at all worried", "not too worried", "somewhat worried", "very worried"),
    ("not worried", "somewhat worried", "very worried"),
    ("not at all concerned", "not too concerned", "somewhat concerned", "very concerned"),
    ("not at all important", "not too important", "somewhat important", "very important"),
    ("not important", "somewhat important", "important", "very important"),
    ("not at all important", "slightly important", "moderately important", "very important", "extremely important"),
    ("very unlikely", "unlikely", "neutral", "likely", "very likely"),
    ("very unlikely", "somewhat unlikely", "somewhat likely", "very likely"),
    ("not at all likely", "not too likely", "somewhat likely", "very likely"),
    ("very dissatisfied", "dissatisfied", "neutral", "satisfied", "very satisfied"),
    ("very dissatisfied", "dissatisfied", "neither satisfied nor dissatisfied", "satisfied", "very satisfied"),
    ("very dissatisfied", "somewhat dissatisfied", "somewhat satisfied", "very satisfied"),
    ("very poor", "poor", "fair", "good", "excellent"),
    ("very poor", "poor", "average", "good", "very good"),
    ("poor", "fair", "good", "excellent"),
    ("poor", "fair", "good", "very good", "excellent"),
    ("very bad", "bad", "neutral", "good", "very good"),
    ("very bad", "bad", "good", "very good"),
    ("not at all", "a little", "somewhat", "a lot"),
    ("not at all", "a bit", "very"),
    ("not at all", "slightly", "moderately", "very", "extremely"),
    ("not at all", "not much", "some", "a lot"),
    ("not at all", "not very much", "a fair amount", "a great deal"),
    ("none at all", "not much", "a fair amount", "a great deal"),
    ("none", "a little", "some", "a lot"),
    ("less", "about the same", "more"),
    ("decrease", "stay the same", "increase"),
    ("low", "medium", "high"),
    ("very low", "low", "medium", "high", "very high"),
    ("mild", "medium", "hot"),
)
"""Known scales of answers, from the least to the most."""


def named(columns: Iterable[str], known: Iterable[str]) -> str | None:
    """Return the column whose name is the first of the known names; None if no column has one of them."""
    by_name = {bare(column): column for column in reversed(list(columns))}
    return next((by_name[name] for name in known if name in by_name), None)


def bare(column: str) -> str:
    """Return the name of a column without case, remarks in brackets, underscores and punctuation."""
    return " ".join(_BARE.sub(" ", folded(column)).replace("_", " ").replace("-", " ").split())


def is_id(column: str) -> bool:
    """Return whether a column's name is that of ids."""
    return bare(column) in IDS


def is_profile(column: str) -> bool:
    """Return whether a column's name is that of an attribute of people, or asks for it: "What is your age?"."""
    name = bare(column)
    return name in _PROFILE or _ASKED.sub("", name) in _PROFILE


def why_left_out(column: str) -> str | None:
    """Return why a column is no question, judged by its name: technical data of the survey, or personal data."""
    if folded(column) in _META or bare(column) in _META:
        return "data of the survey tool"
    return "identifies the person" if folded(column) in _PERSONAL or bare(column) in _PERSONAL else None
