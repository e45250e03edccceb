"""What is to be known of labelled photos before anything learns from them: facts, findings, and what to do."""

from facesegl.doctor.diagnosis import SCHEMA, Checkup, diagnose
from facesegl.doctor.facts import ClassCounts, Facts, PhotoFacts, Refused
from facesegl.doctor.finding import Case, Finding
from facesegl.doctor.reading import facts_of, read_facts
from facesegl.doctor.table import checkup_table

__all__ = [
    "SCHEMA",
    "Case",
    "Checkup",
    "ClassCounts",
    "Facts",
    "Finding",
    "PhotoFacts",
    "Refused",
    "checkup_table",
    "diagnose",
    "facts_of",
    "read_facts",
]
