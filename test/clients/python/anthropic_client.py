import json

import anthropic
from anthropic import beta_tool
from conformance import *


def real(world):
    return anthropic.Anthropic(base_url=world.real, api_key="none", max_retries=0)


def scripted(world, key=None):
    return anthropic.Anthropic(base_url=world.scripted, api_key=key or world.key, max_retries=0)


# The client has no parameter for it.
GREEDY = {"temperature": 0}
HELLO = dict(model="scripted", max_tokens=50)


def brief(world, content=QUESTION, max_tokens=12):
    return dict(model=world.model, messages=ask(content), max_tokens=max_tokens, extra_body=GREEDY)


def prompt_tokens(usage):
    return usage.input_tokens + (usage.cache_read_input_tokens or 0)


def chat(world):
    answer = real(world).messages.create(**brief(world))
    equal([answer.stop_reason, answer.usage.output_tokens], ["max_tokens", 12])
    holds(answer.content[0].text, answer)


def stream(world):
    whole = real(world).messages.create(**brief(world))
    with real(world).messages.stream(**brief(world)) as events:
        equal("".join(events.text_stream), whole.content[0].text)


def stream_usage(world):
    with real(world).messages.stream(**brief(world)) as events:
        usage = events.get_final_message().usage
    count = real(world).messages.count_tokens(model=world.model, messages=ask(QUESTION)).input_tokens
    equal([prompt_tokens(usage), usage.output_tokens], [count, 12])


def forced_tool(world):
    tools = [{"name": "weather", "description": "Tells the weather.", "input_schema": CITY}]
    for choice in ({"type": "any"}, {"type": "tool", "name": "weather"}):
        answer = real(world).messages.create(**brief(world, "The weather in Paris?", 60), tools=tools, tool_choice=choice)
        (call,) = answer.content
        equal([call.name, answer.stop_reason], ["weather", "tool_use"])
        has_city(call.input)


@beta_tool
def weather(city: str) -> str:
    """Tells the weather of a city."""
    return weather_in(city)


def tool_turns(world):
    runner = scripted(world).beta.messages.tool_runner
    asked = dict(**HELLO, messages=ask("Oslo and Rome?"), tools=[weather])
    equal(runner(**asked).until_done().content[-1].text, TOLD)
    for events in runner(**asked, stream=True):
        message = events.get_final_message()
    equal(message.content[-1].text, TOLD)


def schema(world):
    form = {"format": {"type": "json_schema", "schema": COLOUR}}
    answer = real(world).messages.create(**brief(world, "A colour?", 60), output_config=form)
    is_colour(json.loads(answer.content[0].text))


def reasoning(world):
    asked = dict(**HELLO, messages=ask("Think."))
    whole = scripted(world).messages.create(**asked)
    equal([(block.type, getattr(block, block.type)) for block in whole.content], [("thinking", "Hm."), ("text", "Done.")])
    with scripted(world).messages.stream(**asked) as events:
        equal(events.get_final_message().content[0].thinking, "Hm.")


def images(world):
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    answer = scripted(world).messages.create(**HELLO, messages=ask([picture, {"type": "text", "text": "What is it?"}]))
    equal(answer.content[0].text, "1 picture")


def models(world):
    holds(world.model in [model.id for model in real(world).models.list()], world.model)
    equal(real(world).models.retrieve(world.model).id, world.model)


def tokens(world):
    count = real(world).messages.count_tokens(model=world.model, messages=ask(QUESTION), system="Be brief.").input_tokens
    equal(prompt_tokens(real(world).messages.create(**brief(world), system="Be brief.").usage), count)


def cancel(world):
    left = real(world).messages.create(model=world.model, messages=ask(ENDLESS), max_tokens=1900, stream=True)
    expect_freed(world.real, left.close)


def unknown_model(world):
    call = lambda: scripted(world).messages.create(model="nobody", max_tokens=5, messages=ask("Hi"))
    fails(anthropic.NotFoundError, call, type="not_found_error")


def wrong_body(world):
    call = lambda: scripted(world).messages.create(model="scripted", max_tokens=-1, messages=ask("Hi"))
    fails(anthropic.BadRequestError, call, message="max_tokens")


def wrong_key(world):
    call = lambda: scripted(world, "sk-wrong").messages.create(**HELLO, messages=ask("Hi"))
    fails(anthropic.AuthenticationError, call)


def broken_stream(world):
    call = lambda: list(scripted(world).messages.create(**HELLO, messages=ask("Break."), stream=True))
    fails(anthropic.APIError, call, message="The model broke off.")


checks = [
    chat, stream, stream_usage, forced_tool, tool_turns, schema, reasoning, images, models, tokens, cancel, unknown_model,
    wrong_body, wrong_key, broken_stream,
]
missing = {
    "logprobs": "",
    "completion": "Anthropic’s old completions are not offered",
    "responses": "",
    "embeddings": "",
}
run(checks, missing)
