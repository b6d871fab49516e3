import openai
from conformance import *
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings


def at(url, key):
    return dict(base_url=f"{url}/v1", api_key=key, max_retries=0)


def real(world, max_tokens=12, **more):
    return ChatOpenAI(model=world.model, temperature=0, max_tokens=max_tokens, **at(world.real, "none"), **more)


def scripted(world, key=None, model="scripted", **more):
    return ChatOpenAI(model=model, **at(world.scripted, key or world.key), **more)


@tool
def weather(city: str) -> str:
    """Tells the weather of a city."""
    return weather_in(city)


def chat(world):
    answer = real(world).invoke(QUESTION)
    equal([answer.response_metadata["finish_reason"], answer.usage_metadata["output_tokens"]], ["length", 12])
    holds(answer.text, answer)


def stream(world):
    equal("".join(part.text for part in real(world).stream(QUESTION)), real(world).invoke(QUESTION).text)


def stream_usage(world):
    usages = [part.usage_metadata for part in real(world, stream_usage=True).stream(QUESTION) if part.usage_metadata]
    whole = real(world).invoke(QUESTION).usage_metadata
    equal([(usage["input_tokens"], usage["output_tokens"]) for usage in usages], [(whole["input_tokens"], 12)])


def forced_tool(world):
    for choice in ("any", "weather"):
        answer = real(world, 60).bind_tools([weather], tool_choice=choice).invoke("The weather in Paris?")
        (call,) = answer.tool_calls
        equal(call["name"], "weather")
        has_city(call["args"])


def tool_turns(world):
    model = scripted(world).bind_tools([weather])

    def streamed(messages):
        first, *rest = model.stream(messages)
        return sum(rest, first)

    for answer in (model.invoke, streamed):
        question = HumanMessage("Oslo and Rome?")
        called = answer([question])
        results = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in called.tool_calls]
        equal(answer([question, called, *results]).text, TOLD)


def schema(world):
    for method in ("json_schema", "function_calling"):
        model = real(world, 60).with_structured_output({"title": "answer", "description": "A colour.", **COLOUR}, method=method)
        is_colour(model.invoke("A colour?"))


def logprobs(world):
    answer = real(world, logprobs=True, top_logprobs=3).invoke(QUESTION)
    equal("".join(token["token"] for token in answer.response_metadata["logprobs"]["content"]), answer.text)


def reasoning(world):
    whole = scripted(world, use_responses_api=True).invoke("Think.")
    equal([whole.text, whole.content[0]["type"]], ["Done.", "reasoning"])
    equal([block["text"] for block in whole.content[0]["content"]], ["Hm."])
    first, *rest = scripted(world, use_responses_api=True).stream("Think.")
    equal(sum(rest, first).text, "Done.")


def images(world):
    picture = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}
    answer = scripted(world).invoke([HumanMessage([{"type": "text", "text": "What is it?"}, picture])])
    equal(answer.text, "1 picture")


def completion(world):
    model = OpenAI(model=world.model, temperature=0, max_tokens=12, **at(world.real, "none"))
    whole = model.invoke(QUESTION)
    holds(whole.strip(), whole)
    equal("".join(model.stream(QUESTION)), whole)


def responses(world):
    model = real(world, 16, use_responses_api=True)
    whole = model.invoke(QUESTION)
    equal("".join(part.text for part in model.stream(QUESTION)), whole.text)
    second = model.invoke("And Spain?", previous_response_id=whole.response_metadata["id"])
    first = model.invoke("And Spain?")
    holds(second.usage_metadata["input_tokens"] > first.usage_metadata["input_tokens"], second.usage_metadata)


def embeddings(world):
    # Otherwise it sends tokens of OpenAI's vocabulary, which it downloads.
    model = OpenAIEmbeddings(model=world.embedding_model, check_embedding_ctx_length=False, **at(world.real, "none"))
    are_vectors_of_texts(model.embed_documents(TEXTS))


def cancel(world):
    left = real(world, None).stream(ENDLESS)
    next(left)
    expect_freed(world.real, left.close)


def unknown_model(world):
    fails(openai.NotFoundError, lambda: scripted(world, model="nobody").invoke("Hi"), code="model_not_found")


def wrong_body(world):
    fails(openai.BadRequestError, lambda: scripted(world, temperature=9).invoke("Hi"), param="temperature")


def wrong_key(world):
    fails(openai.AuthenticationError, lambda: scripted(world, "sk-wrong").invoke("Hi"))


def broken_stream(world):
    fails(openai.APIError, lambda: list(scripted(world).stream("Break.")), message="The model broke off.")


checks = [
    chat, stream, stream_usage, forced_tool, tool_turns, schema, logprobs, reasoning, images, completion, responses,
    embeddings, cancel, unknown_model, wrong_body, wrong_key, broken_stream,
]
run(checks, missing={"models": "", "tokens": "It counts by itself, with OpenAI’s vocabulary"})
