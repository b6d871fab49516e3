import json

import litellm
from conformance import *

litellm.suppress_debug_info = True


def real(world, name=None):
    return dict(model=f"openai/{name or world.model}", api_base=f"{world.real}/v1", api_key="none", num_retries=0)


def scripted(world, key=None, model="scripted"):
    return dict(model=f"openai/{model}", api_base=f"{world.scripted}/v1", api_key=key or world.key, num_retries=0)


def brief(world, content=QUESTION, max_tokens=12):
    return dict(**real(world), messages=ask(content), temperature=0, max_tokens=max_tokens)


TOOLS = [{"type": "function", "function": WEATHER}]


def chat(world):
    answer = litellm.completion(**brief(world))
    equal([answer.choices[0].finish_reason, answer.usage.completion_tokens], ["length", 12])
    holds(answer.choices[0].message.content, answer)


def stream(world):
    whole = litellm.completion(**brief(world)).choices[0].message.content
    equal("".join(part.choices[0].delta.content or "" for part in litellm.completion(**brief(world), stream=True)), whole)


def stream_usage(world):
    whole = litellm.completion(**brief(world)).usage
    *_, last = litellm.completion(**brief(world), stream=True, stream_options={"include_usage": True})
    equal([last.usage.prompt_tokens, last.usage.completion_tokens], [whole.prompt_tokens, 12])


def forced_tool(world):
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        answer = litellm.completion(**brief(world, "The weather in Paris?", 60), tools=TOOLS, tool_choice=choice)
        (call,) = answer.choices[0].message.tool_calls
        equal([call.function.name, answer.choices[0].finish_reason], ["weather", "tool_calls"])
        has_city(json.loads(call.function.arguments))


def tool_turns(world):
    def whole(messages):
        return litellm.completion(**scripted(world), messages=messages, tools=TOOLS).choices[0].message

    def streamed(messages):
        parts = list(litellm.completion(**scripted(world), messages=messages, tools=TOOLS, stream=True))
        return litellm.stream_chunk_builder(parts, messages=messages).choices[0].message

    for answer in (whole, streamed):
        messages = ask("Oslo and Rome?")
        called = answer(messages)
        messages.append(called)
        for call in called.tool_calls:
            content = weather_in(json.loads(call.function.arguments)["city"])
            messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
        equal(answer(messages).content, TOLD)


def schema(world):
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": COLOUR}}
    answer = litellm.completion(**brief(world, "A colour?", 60), response_format=form)
    is_colour(json.loads(answer.choices[0].message.content))


def logprobs(world):
    choice = litellm.completion(**brief(world), logprobs=True, top_logprobs=3).choices[0]
    equal("".join(token["token"] for token in choice.logprobs["content"]), choice.message.content)


def reasoning(world):
    asked = dict(**scripted(world), messages=ask("Think."))
    message = litellm.completion(**asked).choices[0].message
    equal([message.content, message.reasoning_content], ["Done.", "Hm."])
    deltas = [part.choices[0].delta for part in litellm.completion(**asked, stream=True)]
    equal("".join(delta.content or "" for delta in deltas), "Done.")
    equal("".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas), "Hm.")


def images(world):
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    messages = ask([{"type": "text", "text": "What is it?"}, picture])
    equal(litellm.completion(**scripted(world), messages=messages).choices[0].message.content, "1 picture")


def completion(world):
    asked = dict(**real(world), prompt=QUESTION, temperature=0, max_tokens=12)
    asked["model"] = f"text-completion-{asked['model']}"
    whole = litellm.text_completion(**asked).choices[0].text
    holds(whole.strip(), whole)
    equal("".join(part.choices[0].text or "" for part in litellm.text_completion(**asked, stream=True)), whole)


def responses(world):
    asked = dict(**real(world), input=QUESTION, temperature=0, max_output_tokens=16)
    first = litellm.responses(**asked)
    equal([first.status, first.usage.output_tokens], ["incomplete", 16])
    events = list(litellm.responses(**asked, stream=True))
    equal("".join(event.delta for event in events if event.type == "response.output_text.delta"), first.output_text)
    second = litellm.responses(**asked, previous_response_id=first.id)
    holds(second.usage.input_tokens > first.usage.input_tokens, second.usage)


def embeddings(world):
    data = litellm.embedding(**real(world, world.embedding_model), input=TEXTS).data
    are_vectors_of_texts([item["embedding"] for item in data])


def models(world):
    asked = dict(check_provider_endpoint=True, custom_llm_provider="openai", api_base=f"{world.real}/v1", api_key="none")
    names = litellm.get_valid_models(**asked)
    holds(any(name.endswith(world.model) for name in names), names)


def cancel(world):
    left = litellm.completion(**real(world), messages=ask(ENDLESS), stream=True)
    next(left)
    expect_freed(world.real, left.completion_stream.close)


def unknown_model(world):
    call = lambda: litellm.completion(**scripted(world, model="nobody"), messages=ask("Hi"))
    fails(litellm.NotFoundError, call, status_code=404, message="nobody")


def wrong_body(world):
    call = lambda: litellm.completion(**scripted(world), messages=ask("Hi"), temperature=9)
    fails(litellm.BadRequestError, call, message="temperature")


def wrong_key(world):
    call = lambda: litellm.completion(**scripted(world, "sk-wrong"), messages=ask("Hi"))
    fails(litellm.AuthenticationError, call)


def broken_stream(world):
    call = lambda: list(litellm.completion(**scripted(world), messages=ask("Break."), stream=True))
    fails(litellm.exceptions.MidStreamFallbackError, call, message="The model broke off.")


checks = [
    chat, stream, stream_usage, forced_tool, tool_turns, schema, logprobs, reasoning, images, completion, responses,
    embeddings, models, cancel, unknown_model, wrong_body, wrong_key, broken_stream,
]
run(checks, missing={"tokens": "It counts by itself, with OpenAI’s vocabulary"})
