"""What the checks of all Python clients share. The questions are those of questions.ts."""

import json
import re
import sys
import time
import urllib.request
from types import SimpleNamespace

QUESTION = "The capital of France is"
ENDLESS = "Count to a thousand: 1, 2, 3, 4, 5, 6, 7, 8,"
CITY = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"]}
WEATHER = {"name": "weather", "description": "Tells the weather of a city.", "parameters": CITY}
TOLD = "It is Oslo 4 degrees and Rome 4 degrees"
COLOUR = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}},
    "required": ["colour"],
    "additionalProperties": False,
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TEXTS = ["a sailing boat", "a yacht at sea", "a loaf of bread"]


def weather_in(city):
    return f"{len(city)} degrees"


def ask(content):
    return [{"role": "user", "content": content}]


def equal(found, expected):
    if found != expected:
        raise AssertionError(f"{found!r} is not {expected!r}")


def holds(condition, found):
    if not condition:
        raise AssertionError(repr(found))


def is_colour(found):
    holds(found in ({"colour": "red"}, {"colour": "blue"}), found)


def has_city(arguments):
    holds(list(arguments) == ["city"] and isinstance(arguments["city"], str), arguments)


def are_vectors_of_texts(vectors):
    def dot(left, right):
        return sum(a * b for a, b in zip(left, right, strict=True))

    boat, yacht, bread = vectors
    for vector in vectors:
        holds(len(vector) == 384 and abs(dot(vector, vector) - 1) < 1e-4, len(vector))
    holds(dot(boat, yacht) > dot(boat, bread), [dot(boat, yacht), dot(boat, bread)])


def fails(error_class, call, **attributes):
    """Checks that the call raises the client's own error, with these attributes or, as `message`, this text in it."""
    try:
        call()
    except error_class as error:
        holds(attributes.pop("message", "") in str(error), str(error))
        equal({name: getattr(error, name) for name in attributes}, attributes)
        return
    raise AssertionError(f"no {error_class.__name__}")


def expect_freed(url, leave):
    """Calls `leave` while an answer is being written, and sees the model idle within a second."""
    wait_for_active(url, 1, 5)
    leave()
    wait_for_active(url, 0, 1)


def wait_for_active(url, count, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = urllib.request.urlopen(f"{url}/metrics").read().decode()
        active = int(re.search(r"^simpleia_generations_active (\d+)$", text, re.M)[1])
        if active == count:
            return
        time.sleep(0.01)
    raise AssertionError(f"{active} answers are being written after {seconds} s, and not {count}")


def run(checks, missing):
    """
    Waits for the world as a line of JSON, then runs each check, called as the feature is, and tells how it went as a line
    of JSON. `missing`: why a feature is not there; an empty text where the client has nothing like it.
    """
    results, sys.stdout = sys.stdout, sys.stderr
    world = SimpleNamespace(**json.loads(sys.stdin.readline()))

    def tell(**result):
        print(json.dumps(result), file=results, flush=True)

    for feature, reason in missing.items():
        tell(feature=feature, state="missing", detail=reason)
    for check in checks:
        feature = check.__name__.replace("_", "-")
        try:
            check(world)
        except Exception as error:
            tell(feature=feature, state="failed", detail=f"{type(error).__name__}: {error}")
        else:
            tell(feature=feature, state="works", detail="")
