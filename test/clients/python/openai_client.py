import json
from typing import Literal

import openai
from conformance import *
from pydantic import BaseModel


def real(world):
    return openai.OpenAI(base_url=f"{world.real}/v1", api_key="none", max_retries=0)


def scripted(world, key=None):
    return openai.OpenAI(base_url=f"{world.scripted}/v1", api_key=key or world.key, max_retries=0)


def brief(world, content=QUESTION):
    return dict(model=world.model, messages=ask(content), temperature=0, max_tokens=12)


TOOLS = [{"type": "function", "function": WEATHER}]


def chat(world):
    answer = real(world).chat.completions.create(**brief(world))
    equal([answer.choices[0].finish_reason, answer.usage.completion_tokens], ["length", 12])
    holds(answer.choices[0].message.content, answer)


def stream(world):
    whole = real(world).chat.completions.create(**brief(world))
    chunks = real(world).chat.completions.create(**brief(world), stream=True)
    equal("".join(chunk.choices[0].delta.content or "" for chunk in chunks), whole.choices[0].message.content)


def stream_usage(world):
    whole = real(world).chat.completions.create(**brief(world))
    chunks = list(real(world).chat.completions.create(**brief(world), stream=True, stream_options={"include_usage": True}))
    usage = chunks[-1].usage
    equal([usage.prompt_tokens, usage.completion_tokens], [whole.usage.prompt_tokens, 12])


def forced_tool(world):
    asked = {**brief(world, "The weather in Paris?"), "max_tokens": 60, "tools": TOOLS}
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        answer = real(world).chat.completions.create(**asked, tool_choice=choice)
        (call,) = answer.choices[0].message.tool_calls
        equal([call.function.name, answer.choices[0].finish_reason], ["weather", "tool_calls"])
        has_city(json.loads(call.function.arguments))


def tool_turns(world):
    completions = scripted(world).chat.completions

    def whole(messages):
        return completions.create(model="scripted", messages=messages, tools=TOOLS).choices[0].message

    def streamed(messages):
        with completions.stream(model="scripted", messages=messages, tools=TOOLS) as events:
            return events.get_final_completion().choices[0].message

    for answer in (whole, streamed):
        messages = ask("Oslo and Rome?")
        called = answer(messages)
        messages.append(called)
        for call in called.tool_calls:
            content = weather_in(json.loads(call.function.arguments)["city"])
            messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
        equal(answer(messages).content, TOLD)


class Colour(BaseModel):
    colour: Literal["red", "blue"]


def schema(world):
    asked = {**brief(world, "A colour?"), "max_tokens": 60}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": COLOUR}}
    answer = real(world).chat.completions.create(**asked, response_format=form)
    is_colour(json.loads(answer.choices[0].message.content))
    answer = real(world).chat.completions.parse(**asked, response_format=Colour)
    is_colour(answer.choices[0].message.parsed.model_dump())


def logprobs(world):
    choice = real(world).chat.completions.create(**brief(world), logprobs=True, top_logprobs=3).choices[0]
    equal("".join(token.token for token in choice.logprobs.content), choice.message.content)
    for token in choice.logprobs.content:
        equal(token.top_logprobs[0].logprob, token.logprob)


def reasoning(world):
    asked = dict(model="scripted", messages=ask("Think."))
    message = scripted(world).chat.completions.create(**asked).choices[0].message
    equal([message.content, message.reasoning_content], ["Done.", "Hm."])
    deltas = [chunk.choices[0].delta for chunk in scripted(world).chat.completions.create(**asked, stream=True)]
    equal("".join(delta.content or "" for delta in deltas), "Done.")
    equal("".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas), "Hm.")


def images(world):
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    messages = ask([{"type": "text", "text": "What is it?"}, picture])
    equal(scripted(world).chat.completions.create(model="scripted", messages=messages).choices[0].message.content, "1 picture")


def completion(world):
    asked = dict(model=world.model, prompt=QUESTION, temperature=0, max_tokens=12)
    whole = real(world).completions.create(**asked).choices[0].text
    holds(whole.strip(), whole)
    equal("".join(chunk.choices[0].text for chunk in real(world).completions.create(**asked, stream=True)), whole)


def responses(world):
    client = real(world).responses
    asked = dict(model=world.model, input=QUESTION, temperature=0, max_output_tokens=16)
    first = client.create(**asked)
    equal([first.status, first.usage.output_tokens], ["incomplete", 16])
    with client.stream(**asked) as events:
        equal("".join(event.delta for event in events if event.type == "response.output_text.delta"), first.output_text)
    second = client.create(**asked, previous_response_id=first.id)
    holds(second.usage.input_tokens > first.usage.input_tokens, second.usage)


def embeddings(world):
    for form in ({}, {"encoding_format": "float"}):
        data = real(world).embeddings.create(model=world.embedding_model, input=TEXTS, **form).data
        are_vectors_of_texts([item.embedding for item in data])


def models(world):
    holds(world.model in [model.id for model in real(world).models.list()], world.model)
    equal(real(world).models.retrieve(world.model).id, world.model)


def tokens(world):
    count = real(world).responses.input_tokens.count(model=world.model, input=QUESTION).input_tokens
    equal(count, real(world).chat.completions.create(**brief(world)).usage.prompt_tokens)


def cancel(world):
    asked = dict(model=world.model, messages=ask(ENDLESS))
    left = real(world).chat.completions.create(**asked, stream=True)
    expect_freed(world.real, left.close)


def unknown_model(world):
    call = lambda: scripted(world).chat.completions.create(model="nobody", messages=ask("Hi"))
    fails(openai.NotFoundError, call, code="model_not_found", param="model")


def wrong_body(world):
    call = lambda: scripted(world).chat.completions.create(model="scripted", messages=ask("Hi"), temperature=9)
    fails(openai.BadRequestError, call, param="temperature")


def wrong_key(world):
    call = lambda: scripted(world, "sk-wrong").chat.completions.create(model="scripted", messages=ask("Hi"))
    fails(openai.AuthenticationError, call)


def broken_stream(world):
    call = lambda: list(scripted(world).chat.completions.create(model="scripted", messages=ask("Break."), stream=True))
    fails(openai.APIError, call, message="The model broke off.")


checks = [
    chat, stream, stream_usage, forced_tool, tool_turns, schema, logprobs, reasoning, images, completion, responses,
    embeddings, models, tokens, cancel, unknown_model, wrong_body, wrong_key, broken_stream,
]
run(checks, missing={})
