import json

import ollama
from conformance import *


def real(world):
    return ollama.Client(host=world.real)


def scripted(world, key=None):
    return ollama.Client(host=world.scripted, headers={"authorization": f"Bearer {key or world.key}"})


def brief(world, content=QUESTION):
    return dict(model=world.model, messages=ask(content), options={"temperature": 0, "num_predict": 12})


def weather(city: str) -> str:
    """
    Tells the weather of a city.

    Args:
        city: its name
    """
    return weather_in(city)


def chat(world):
    answer = real(world).chat(**brief(world))
    equal([answer.done_reason, answer.eval_count], ["length", 12])
    holds(answer.message.content, answer)


def stream(world):
    whole = real(world).chat(**brief(world))
    equal("".join(part.message.content for part in real(world).chat(**brief(world), stream=True)), whole.message.content)


def stream_usage(world):
    whole = real(world).chat(**brief(world))
    *_, last = real(world).chat(**brief(world), stream=True)
    equal([last.prompt_eval_count, last.eval_count], [whole.prompt_eval_count, 12])


def tool_turns(world):
    def whole(messages):
        return scripted(world).chat(model="scripted", messages=messages, tools=[weather]).message

    def streamed(messages):
        parts = list(scripted(world).chat(model="scripted", messages=messages, tools=[weather], stream=True))
        calls = [call for part in parts for call in part.message.tool_calls or []]
        content = "".join(part.message.content or "" for part in parts)
        return ollama.Message(role="assistant", content=content, tool_calls=calls or None)

    for answer in (whole, streamed):
        messages = ask("Oslo and Rome?")
        called = answer(messages)
        messages.append(called)
        for call in called.tool_calls:
            messages.append({"role": "tool", "tool_name": "weather", "content": weather(**call.function.arguments)})
        equal(answer(messages).content, TOLD)


def schema(world):
    answer = real(world).chat(model=world.model, messages=ask("A colour?"), format=COLOUR, options={"temperature": 0})
    is_colour(json.loads(answer.message.content))


def logprobs(world):
    answer = real(world).chat(**brief(world), logprobs=True, top_logprobs=3)
    equal("".join(token.token for token in answer.logprobs), answer.message.content)
    for token in answer.logprobs:
        equal(token.top_logprobs[0].logprob, token.logprob)


def reasoning(world):
    asked = dict(model="scripted", messages=ask("Think."), think=True)
    message = scripted(world).chat(**asked).message
    equal([message.content, message.thinking], ["Done.", "Hm."])
    parts = [part.message for part in scripted(world).chat(**asked, stream=True)]
    equal("".join(part.content or "" for part in parts), "Done.")
    equal("".join(part.thinking or "" for part in parts), "Hm.")


def images(world):
    messages = [{"role": "user", "content": "What is it?", "images": [PIXEL]}]
    equal(scripted(world).chat(model="scripted", messages=messages).message.content, "1 picture")


def completion(world):
    asked = dict(model=world.model, prompt=QUESTION, raw=True, options={"temperature": 0, "num_predict": 12})
    whole = real(world).generate(**asked).response
    holds(whole.strip(), whole)
    equal("".join(part.response for part in real(world).generate(**asked, stream=True)), whole)


def embeddings(world):
    are_vectors_of_texts(real(world).embed(model=world.embedding_model, input=TEXTS).embeddings)


def models(world):
    holds(f"{world.model}:latest" in [model.model for model in real(world).list().models], world.model)
    equal(real(world).show(world.model).details.format, "gguf")
    equal([model.model for model in real(world).ps().models], [f"{world.model}:latest"])


def cancel(world):
    left = real(world).chat(model=world.model, messages=ask(ENDLESS), stream=True)
    next(left)
    expect_freed(world.real, left.close)


def unknown_model(world):
    call = lambda: scripted(world).chat(model="nobody", messages=ask("Hi"))
    fails(ollama.ResponseError, call, status_code=404, message="nobody")


def wrong_body(world):
    call = lambda: scripted(world).chat(model="scripted", messages=ask("Hi"), options={"temperature": 9})
    fails(ollama.ResponseError, call, status_code=400, message="temperature")


def wrong_key(world):
    call = lambda: scripted(world, "sk-wrong").chat(model="scripted", messages=ask("Hi"))
    fails(ollama.ResponseError, call, status_code=401)


def broken_stream(world):
    call = lambda: list(scripted(world).chat(model="scripted", messages=ask("Break."), stream=True))
    fails(ollama.ResponseError, call, message="The model broke off.")


checks = [
    chat, stream, stream_usage, tool_turns, schema, logprobs, reasoning, images, completion, embeddings, models, cancel,
    unknown_model, wrong_body, wrong_key, broken_stream,
]
run(checks, missing={"forced-tool": "", "responses": "", "tokens": ""})
