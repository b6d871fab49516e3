import base64
import json
import os
import signal
import subprocess
import sys
import tempfile

# Where it reads the models that are added: one for each service, by each API.
USER_FOLDER = tempfile.TemporaryDirectory()
os.environ["LLM_USER_PATH"] = USER_FOLDER.name

import llm
import openai
import yaml
from conformance import *

KINDS = {"chat": {}, "completion": {"completion": True}, "responses": {"responses": True, "reasoning": True}}


def add_models(world):
    common = {"supports_schema": True, "supports_tools": True, "vision": True}
    real = {"model_name": world.model, "api_base": f"{world.real}/v1"}
    scripted = {"model_name": "scripted", "api_base": f"{world.scripted}/v1", "api_key_name": "simpleia"}
    nobody = {**scripted, "model_name": "nobody"}
    rows = [
        {"model_id": f"{name}-{kind}", **model, **flags, **common}
        for name, model in (("real", real), ("scripted", scripted), ("nobody", nobody))
        for kind, flags in KINDS.items()
    ]
    with open(os.path.join(USER_FOLDER.name, "extra-openai-models.yaml"), "w") as file:
        yaml.safe_dump(rows, file)


def chat(world):
    add_models(world)
    answer = llm.get_model("real-chat").prompt(QUESTION, temperature=0, max_tokens=12, stream=False)
    holds(answer.text(), answer)
    equal(answer.usage().output, 12)


def stream(world):
    asked = dict(temperature=0, max_tokens=12)
    whole = llm.get_model("real-chat").prompt(QUESTION, **asked, stream=False).text()
    equal("".join(llm.get_model("real-chat").prompt(QUESTION, **asked)), whole)


def stream_usage(world):
    asked = dict(temperature=0, max_tokens=12)
    whole = llm.get_model("real-chat").prompt(QUESTION, **asked, stream=False).usage()
    streamed = llm.get_model("real-chat").prompt(QUESTION, **asked).usage()
    equal([streamed.input, streamed.output], [whole.input, 12])


def weather(city: str) -> str:
    """Tells the weather of a city."""
    return weather_in(city)


def tool_turns(world):
    for stream in (False, True):
        chain = llm.get_model("scripted-chat").chain("Oslo and Rome?", tools=[weather], key=world.key, stream=stream)
        equal(chain.text(), TOLD)


def schema(world):
    answer = llm.get_model("real-chat").prompt("A colour?", schema=COLOUR, temperature=0, max_tokens=60)
    is_colour(json.loads(answer.text()))


def logprobs(world):
    answer = llm.get_model("real-completion").prompt(QUESTION, logprobs=3, temperature=0, max_tokens=12)
    text = answer.text()
    equal("".join(token["text"] for token in answer.response_json["logprobs"]), text)


def reasoning(world):
    for stream in (False, True):
        events = list(llm.get_model("scripted-responses").prompt("Think.", key=world.key, stream=stream).stream_events())
        for kind, text in (("reasoning", "Hm."), ("text", "Done.")):
            equal("".join(event.chunk for event in events if event.type == kind), text)


def images(world):
    picture = llm.Attachment(content=base64.b64decode(PIXEL), type="image/png")
    answer = llm.get_model("scripted-chat").prompt("What is it?", attachments=[picture], key=world.key)
    equal(answer.text(), "1 picture")


def completion(world):
    asked = dict(temperature=0, max_tokens=12)
    whole = llm.get_model("real-completion").prompt(QUESTION, **asked, stream=False).text()
    holds(whole.strip(), whole)
    equal("".join(llm.get_model("real-completion").prompt(QUESTION, **asked)), whole)


def responses(world):
    model = llm.get_model("real-responses")
    asked = dict(temperature=0, max_tokens=16)
    whole = model.prompt(QUESTION, **asked, stream=False).text()
    equal(model.prompt(QUESTION, **asked).text(), whole)


def cancel(world):
    # Its streams have no end of their own but that of the process, as by Ctrl-C.
    command = [sys.executable, "-m", "llm", "prompt", "-m", "real-chat", "--no-log", ENDLESS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        child.stdout.read(1)
        expect_freed(world.real, lambda: child.send_signal(signal.SIGINT))


def unknown_model(world):
    fails(openai.NotFoundError, lambda: llm.get_model("nobody-chat").prompt("Hi", key=world.key).text(), code="model_not_found")


def wrong_body(world):
    call = lambda: llm.get_model("scripted-chat").prompt("Hi", key=world.key, max_tokens=-1).text()
    fails(openai.BadRequestError, call, param="max_tokens")


def wrong_key(world):
    fails(openai.AuthenticationError, lambda: llm.get_model("scripted-chat").prompt("Hi", key="sk-wrong").text())


def broken_stream(world):
    call = lambda: llm.get_model("scripted-chat").prompt("Break.", key=world.key).text()
    fails(openai.APIError, call, message="The model broke off.")


checks = [
    chat, stream, stream_usage, tool_turns, schema, logprobs, reasoning, images, completion, responses, cancel,
    unknown_model, wrong_body, wrong_key, broken_stream,
]
missing = {"forced-tool": "", "embeddings": "It knows only OpenAI’s own models", "models": "", "tokens": ""}
run(checks, missing)
