#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The official clients of OpenAI, Anthropic and Ollama against the server, unmodified: plain, streaming, a round trip
of tools, errors, retries, cancelling; and stateful responses over a restart. The model is a scripted one, so
that every word is known."""
import asyncio
import json
import os
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from clients import use_clients  # noqa: E402

use_clients()
import anthropic  # noqa: E402
import ollama  # noqa: E402
import openai  # noqa: E402

import scripted  # noqa: E402
from served import Served  # noqa: E402
from tap import case, finish  # noqa: E402

HELLO, AFTER = "Hello, how can I help?", "It is 18 degrees in Paris."
TOOL = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
folder = tempfile.mkdtemp()
MODEL = scripted.write(os.path.join(folder, "scripted.gguf"))


def user(text):
    return [{"role": "user", "content": text}]


def raised(kind, f, *a, **k):
    try:
        f(*a, **k)
    except kind as e:
        return e
    except Exception as e:
        return AssertionError("%r instead of %s" % (e, kind.__name__))
    return None


def free_places(s):
    end = time.monotonic() + 0.25
    while time.monotonic() < end:
        if not any(x["is_processing"] for x in s.json("GET", "/slots")[1]):
            return True
        time.sleep(0.01)
    return False


# ---- OpenAI ----

def openai_chat(s, c):
    names = [m.id for m in c.models.list()]
    case("openai: models", names == ["scripted"] and c.models.retrieve("scripted").id == "scripted", names)
    e = raised(openai.NotFoundError, c.models.retrieve, "no/such:model")
    case("openai: a model that is not there is 404", isinstance(e, openai.NotFoundError), e)
    r = c.chat.completions.create(model="scripted", messages=user("hi"))
    m = r.choices[0]
    case("openai: plain", m.message.content == HELLO and m.finish_reason == "stop" and
         m.message.role == "assistant" and r.object == "chat.completion" and r.id.startswith("chatcmpl-"), r)
    u = r.usage
    case("openai: usage", u.completion_tokens == 7 and u.prompt_tokens > 5 and
         u.total_tokens == u.prompt_tokens + u.completion_tokens, u)
    e1, e2 = r.model_extra.get("energy"), u.model_extra.get("energy")
    case("openai: energy, in the answer and in its usage", e1 and e1 == e2 and e1["energy_uj"] > 0 and
         e1["source"] in ("measured", "estimated") and
         abs(e1["energy_kwh"] * 3.6e6 - e1["energy_joules"]) <= 1e-9, (e1, e2))
    text, ends, usage = "", [], None
    for chunk in c.chat.completions.create(model="scripted", messages=user("hi"), stream=True,
                                           stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for x in chunk.choices:
            text += x.delta.content or ""
            ends += [x.finish_reason] if x.finish_reason else []
    case("openai: stream", text == HELLO and ends == ["stop"] and usage.completion_tokens == 7, (text, ends))
    case("openai: the prompt of before is kept", usage.prompt_tokens_details.cached_tokens ==
         usage.prompt_tokens - 1, usage)
    r = c.chat.completions.create(model="scripted", messages=user("[think] hi"))
    case("openai: reasoning apart", r.choices[0].message.content == "Good day!" and
         r.choices[0].message.model_extra.get("reasoning_content") == "They greet me.", r.choices[0])
    r = c.chat.completions.create(model="scripted", messages=user("[unicode] hi"))
    case("openai: letters whole", r.choices[0].message.content == "Café \U0001f600 日本語", r.choices[0])
    r = c.chat.completions.create(model="scripted", messages=user("[broken] hi"), tools=[TOOL])
    case("openai: a call that does not parse is content", r.choices[0].message.tool_calls is None and
         r.choices[0].message.content.startswith("<tool_call>"), r.choices[0])


def openai_options(s, c):
    def ask(text="[count] go", **k):
        return c.chat.completions.create(model="scripted", messages=user(text), **k)
    r = ask(stop=[" 4"])
    case("openai: stop", r.choices[0].message.content == " 1 2 3" and r.choices[0].finish_reason == "stop", r)
    r = ask(max_tokens=2)
    case("openai: max_tokens", r.choices[0].message.content == " 1 2" and
         r.choices[0].finish_reason == "length", r)
    r = ask(n=3, max_completion_tokens=3)
    case("openai: n choices", [x.message.content for x in r.choices] == [" 1 2 3"] * 3 and
         [x.index for x in r.choices] == [0, 1, 2] and r.usage.completion_tokens == 9, r)
    r = ask(logprobs=True, top_logprobs=2, max_tokens=2)
    lp = r.choices[0].logprobs.content
    case("openai: logprobs", [x.token for x in lp] == [" 1", " 2"] and len(lp[0].top_logprobs) == 2 and
         lp[0].top_logprobs[0].token == " 1" and lp[0].logprob == lp[0].top_logprobs[0].logprob and
         bytes(lp[0].bytes) == b" 1" and -0.01 < lp[0].logprob <= 0, lp)
    ids = s.json("POST", "/tokenize", {"content": "t"})[1]["tokens"]
    r = ask(max_tokens=3, logit_bias={str(ids[0]): 100})
    case("openai: logit_bias", r.choices[0].message.content == "ttt", r.choices[0].message)
    a, b = (ask(temperature=9, seed=5, max_tokens=20).choices[0].message.content for _ in range(2))
    d = ask(temperature=9, seed=6, max_tokens=20).choices[0].message.content
    case("openai: seed", a == b and a != d, (a, b, d))
    for name, k in {"temperature": {"temperature": -1}, "top_p": {"top_p": 1.5}, "n": {"n": 0},
                    "response_format": {"response_format": {"type": "json_object"}},
                    "tool_choice": {"tools": [TOOL], "tool_choice": "required"}}.items():
        e = raised(openai.BadRequestError, ask, **k)
        case("openai: %s refused by name" % name, isinstance(e, openai.BadRequestError) and
             str(e.param).startswith(name), (e, getattr(e, "param", None)))
    e = raised(openai.BadRequestError, ask, "word " * 20000)
    case("openai: a prompt beyond the context", isinstance(e, openai.BadRequestError) and
         e.code == "context_length_exceeded", e)
    r = ask(max_tokens=1, extra_body={"nonsense": 1})
    case("openai: unknown fields are named", "nonsense" in str(r.model_extra.get("warnings")), r.model_extra)


def openai_tools(s, c):
    ask = user("[tools] what is the weather?")
    r = c.chat.completions.create(model="scripted", messages=ask, tools=[TOOL])
    m = r.choices[0].message
    call = m.tool_calls[0] if m.tool_calls else None
    case("openai: a tool is called", call and r.choices[0].finish_reason == "tool_calls" and
         call.function.name == "get_weather" and json.loads(call.function.arguments)["city"] == "Paris" and
         not m.content, r.choices[0])
    # The client sends the arguments back in its own spacing; the ids it was sampled as are known again.
    args = json.dumps(json.loads(call.function.arguments))
    back = ask + [{"role": "assistant", "content": m.content, "tool_calls": [
        {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": args}}]},
        {"role": "tool", "tool_call_id": call.id, "content": "18 C"}]
    r2 = c.chat.completions.create(model="scripted", messages=back, tools=[TOOL])
    case("openai: and its result answered", r2.choices[0].message.content == AFTER, r2.choices[0])
    kept = r2.usage.prompt_tokens_details.cached_tokens
    before = r.usage.prompt_tokens + r.usage.completion_tokens
    case("openai: prompt and call of the first turn are kept", kept >= before - 1, (kept, before, r2.usage))
    calls, end = {}, None
    for chunk in c.chat.completions.create(model="scripted", messages=user("[two] go"), tools=[TOOL], stream=True):
        for x in chunk.choices:
            end = x.finish_reason or end
            for t in x.delta.tool_calls or []:
                one = calls.setdefault(t.index, {"id": t.id, "name": t.function.name, "args": ""})
                one["args"] += t.function.arguments or ""
    case("openai: two calls stream", end == "tool_calls" and len(calls) == 2 and
         [json.loads(x["args"])["city"] for x in calls.values()] == ["Paris", "Oslo"] and
         len({x["id"] for x in calls.values()}) == 2, calls)


def openai_text(s, c):
    r = c.completions.create(model="scripted", prompt="a t", max_tokens=2)
    case("openai: completions", len(r.choices) == 1 and r.object == "text_completion", r)
    r = c.completions.create(model="scripted", prompt=["x", "y"], n=2, max_tokens=1, echo=True)
    case("openai: completions of a list, echoed", len(r.choices) == 4 and r.choices[0].text[0] == "x" and
         r.choices[3].text[0] == "y", r)
    ids = s.json("POST", "/tokenize", {"content": "hello"})[1]["tokens"]
    r = c.completions.create(model="scripted", prompt=ids, max_tokens=1, logprobs=1)
    case("openai: completions of ids, with logprobs", len(r.choices[0].logprobs.tokens) == 1, r)
    text = "".join(x.choices[0].text for x in c.completions.create(
        model="scripted", prompt="x", max_tokens=3, stream=True) if x.choices)
    case("openai: completions stream", isinstance(text, str), text)


def openai_async(s):
    async def run():
        c = openai.AsyncOpenAI(base_url="http://127.0.0.1:%d/v1" % s.port, api_key="none")

        async def read():
            async for _ in await c.chat.completions.create(model="scripted", messages=user("[forever] go"),
                                                           stream=True):
                pass
        tasks = [asyncio.create_task(read()) for _ in range(3)]
        await asyncio.sleep(0.5)
        busy = sum(x["is_processing"] for x in s.json("GET", "/slots")[1])
        for t in tasks:
            t.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await c.close()
        return busy
    busy = asyncio.run(run())
    case("openai: cancelled tasks free their places", busy > 0 and free_places(s), busy)


def openai_responses(s, c):
    r = c.responses.create(model="scripted", input="hi", instructions="Be kind.")
    case("responses: plain", r.output_text == HELLO and r.status == "completed" and r.id.startswith("resp_") and
         r.usage.output_tokens == 7, r)
    kinds, text, numbers = [], "", []
    with c.responses.stream(model="scripted", input="[think] hi") as stream:
        for e in stream:
            kinds.append(e.type)
            numbers.append(e.sequence_number)
            text += e.delta if e.type == "response.output_text.delta" else ""
        last = stream.get_final_response()
    case("responses: stream", text == "Good day!" and kinds[0] == "response.created" and
         kinds[-1] == "response.completed" and numbers == list(range(len(numbers))) and
         last.output_text == text and last.output[0].type == "reasoning", kinds)
    tool = {"type": "function", **TOOL["function"]}
    r1 = c.responses.create(model="scripted", input="[tools] weather?", tools=[tool, {"type": "web_search"}])
    call = next((x for x in r1.output if x.type == "function_call"), None)
    case("responses: a tool is called, strange tools are passed over", call and call.name == "get_weather", r1)
    s.stop()
    s.start()
    r2 = c.responses.create(model="scripted", previous_response_id=r1.id, tools=[tool], input=[
        {"type": "function_call_output", "call_id": call.call_id, "output": "18 C"}])
    case("responses: previous_response_id holds over a restart", r2.output_text == AFTER and
         r2.previous_response_id == r1.id, r2)
    case("responses: kept ones are read again", c.responses.retrieve(r2.id).output_text == AFTER, r2.id)
    items = list(c.responses.input_items.list(r2.id))
    case("responses: and their input", items and items[0].type == "function_call_output", items)
    n = c.responses.input_tokens.count(model="scripted", input="hi").input_tokens
    case("responses: input_tokens", 5 < n < 60, n)
    c.responses.delete(r2.id)
    e = raised(openai.NotFoundError, c.responses.retrieve, r2.id)
    case("responses: deleted is gone", isinstance(e, openai.NotFoundError), e)
    e = raised(openai.BadRequestError, c.responses.create, model="scripted", input="hi", background=True)
    case("responses: background refused by name", isinstance(e, openai.BadRequestError), e)
    r = c.responses.create(model="scripted", input="hi", store=False)
    e = raised(openai.NotFoundError, c.responses.retrieve, r.id)
    case("responses: store false is not kept", isinstance(e, openai.NotFoundError), e)


# ---- Anthropic ----

def anthropic_all(s):
    c = anthropic.Anthropic(base_url="http://127.0.0.1:%d" % s.port, api_key="none", max_retries=0)
    tool = {"name": "get_weather", "description": "w", "input_schema": TOOL["function"]["parameters"]}
    r = c.messages.create(model="scripted", max_tokens=50, messages=user("hi"), system="Be kind.")
    case("anthropic: plain", r.content[0].text == HELLO and r.stop_reason == "end_turn" and r.type == "message" and
         r.usage.output_tokens == 7 and r.id.startswith("msg_"), r)
    with c.messages.stream(model="scripted", max_tokens=60, messages=user("[think] hi"),
                           thinking={"type": "adaptive"}) as stream:
        text = "".join(stream.text_stream)
        last = stream.get_final_message()
    case("anthropic: stream with thinking", text == "Good day!" and
         [b.type for b in last.content] == ["thinking", "text"] and last.content[0].thinking == "They greet me.", last)
    r = c.messages.create(model="scripted", max_tokens=80, messages=user("[tools] weather?"), tools=[tool])
    use = next((b for b in r.content if b.type == "tool_use"), None)
    case("anthropic: a tool is called", use and use.input["city"] == "Paris" and r.stop_reason == "tool_use", r)
    back = user("[tools] weather?") + [{"role": "assistant", "content": [b.model_dump() for b in r.content]},
                                       {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id,
                                                                     "content": "18 C"}]}]
    r2 = c.messages.create(model="scripted", max_tokens=50, messages=back, tools=[tool])
    case("anthropic: and its result answered", r2.content[0].text == AFTER, r2)
    case("anthropic: the first turn is kept", r2.usage.cache_read_input_tokens >=
         r.usage.input_tokens + (r.usage.cache_read_input_tokens or 0), (r.usage, r2.usage))
    with c.messages.stream(model="scripted", max_tokens=80, messages=user("[two] go"), tools=[tool]) as stream:
        last = stream.get_final_message()
    case("anthropic: two calls stream", [b.input["city"] for b in last.content if b.type == "tool_use"] ==
         ["Paris", "Oslo"], last)
    r = c.messages.create(model="scripted", max_tokens=50, messages=user("[count] go"), stop_sequences=[" 3"])
    case("anthropic: stop_sequences", r.content[0].text == " 1 2" and r.stop_reason == "stop_sequence" and
         r.stop_sequence == " 3", r)
    n = c.messages.count_tokens(model="scripted", messages=user("hi")).input_tokens
    case("anthropic: count_tokens", 5 < n < 60, n)
    e = raised(anthropic.BadRequestError, c.messages.create, model="scripted", max_tokens=0, messages=user("x"))
    case("anthropic: errors", isinstance(e, anthropic.BadRequestError) and
         e.body["error"]["type"] == "invalid_request_error", e)
    names = [m.id for m in c.models.list()]
    case("anthropic: models", names == ["scripted"], names)
    nonce = [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=%d;"},
             {"type": "text", "text": "You are a careful helper with many long rules. " * 4}]
    got = []
    for i in (1, 2):
        system = [dict(nonce[0], text=nonce[0]["text"] % (1000 + i)), nonce[1]]
        raw = c.messages.with_raw_response.create(model="scripted", max_tokens=5, messages=user("hi"), system=system)
        got.append((raw.headers.get("x-sobre-nonce-removed"), raw.parse().usage))
    case("anthropic: a billing line costs no cache", got[1][0] and
         got[1][1].cache_read_input_tokens >= 40, got)

    async def cancel():
        a = anthropic.AsyncAnthropic(base_url="http://127.0.0.1:%d" % s.port, api_key="none")

        async def read():
            async with a.messages.stream(model="scripted", max_tokens=5000, messages=user("[forever] go")) as st:
                async for _ in st:
                    pass
        t = asyncio.create_task(read())
        await asyncio.sleep(0.3)
        t.cancel()
        await asyncio.gather(t, return_exceptions=True)
    asyncio.run(cancel())
    case("anthropic: a cancelled task frees its place", free_places(s))


# ---- Ollama ----

def ollama_all(s):
    c = ollama.Client(host="http://127.0.0.1:%d" % s.port)
    r = c.chat(model="scripted", messages=user("hi"))
    case("ollama: chat", r.message.content == HELLO and r.done and r.done_reason == "stop" and
         r.eval_count == 7 and r.total_duration > 0, r)
    parts = list(c.chat(model="scripted", messages=user("hi"), stream=True))
    case("ollama: chat streams", "".join(p.message.content or "" for p in parts) == HELLO and parts[-1].done and
         not parts[0].done, parts[-1])
    r = c.chat(model="scripted", messages=user("[think] hi"), think=True)
    case("ollama: thinking", r.message.thinking == "They greet me." and r.message.content == "Good day!", r)
    r = c.chat(model="scripted", messages=user("[tools] weather?"), tools=[TOOL])
    call = r.message.tool_calls[0] if r.message.tool_calls else None
    case("ollama: a tool is called", call and call.function.name == "get_weather" and
         call.function.arguments["city"] == "Paris", r)
    r = c.chat(model="scripted", tools=[TOOL], messages=user("[tools] weather?") + [
        r.message.model_dump(), {"role": "tool", "tool_name": "get_weather", "content": "18 C"}])
    case("ollama: and its result answered", r.message.content == AFTER, r)
    r = c.generate(model="scripted", prompt="hi", system="Be kind.")
    case("ollama: generate", r.response == HELLO and r.context, r)
    text = "".join(p.response for p in c.generate(model="scripted", prompt="hi", stream=True))
    case("ollama: generate streams", text == HELLO, text)
    r = c.chat(model="scripted", messages=user("[count] go"), options={"num_predict": 3, "temperature": 0})
    case("ollama: options", r.message.content == " 1 2 3" and r.done_reason == "length", r)
    names = [m.model for m in c.list().models]
    case("ollama: list", any("scripted" in n for n in names), names)
    case("ollama: ps", any("scripted" in m.model for m in c.ps().models), c.ps())
    show = c.show("scripted")
    case("ollama: show", show.details.family == "llama" and "completion" in show.capabilities and
         show.template and show.modelinfo["general.architecture"] == "llama", show)
    e = raised(ollama.ResponseError, c.chat, model="nobody", messages=user("x"))
    case("ollama: a model that is not there is 404", isinstance(e, ollama.ResponseError) and
         e.status_code == 404, e)
    e = raised(ollama.ResponseError, c.chat, model="scripted", messages=user("x"), format="json")
    case("ollama: format refused", isinstance(e, ollama.ResponseError) and e.status_code == 400, e)

    async def run():
        a = ollama.AsyncClient(host="http://127.0.0.1:%d" % s.port)
        async for p in await a.chat(model="scripted", messages=user("[forever] go"), stream=True):
            if p.message.content:
                break
        await asyncio.sleep(0.05)
    asyncio.run(run())
    case("ollama: a stream that nobody reads on frees its place", free_places(s))


# ---- keys: refusals and retries ----

def retries():
    with Served(model=MODEL) as s:
        key = s.add_key("one", "--concurrent", "1")
        url = "http://127.0.0.1:%d/v1" % s.port
        e = raised(openai.AuthenticationError, openai.OpenAI(base_url=url, api_key="bad").chat.completions.create,
                   model="scripted", messages=user("hi"))
        case("openai: a wrong key is 401", isinstance(e, openai.AuthenticationError), e)
        c = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
        stream = c.chat.completions.create(model="scripted", messages=user("[forever] go"), stream=True)
        next(iter(stream))
        e = raised(openai.RateLimitError, c.chat.completions.create, model="scripted", messages=user("hi"))
        case("openai: one too many is 429 with a time", isinstance(e, openai.RateLimitError) and
             int(e.response.headers.get("retry-after", 0)) >= 1, e)
        threading.Timer(0.5, stream.close).start()
        r = c.with_options(max_retries=5).chat.completions.create(model="scripted", messages=user("hi"))
        case("openai: the client tries again and gets its answer", r.choices[0].message.content == HELLO, r)
        a = anthropic.Anthropic(base_url="http://127.0.0.1:%d" % s.port, api_key="bad", max_retries=0)
        e = raised(anthropic.AuthenticationError, a.messages.create, model="scripted", max_tokens=5,
                   messages=user("x"))
        case("anthropic: a wrong key is 401", isinstance(e, anthropic.AuthenticationError), e)


def part(f, *a):
    try:
        f(*a)
    except Exception as e:
        case("%s runs through" % f.__name__, False, repr(e))


with Served(model=MODEL) as server:
    client = openai.OpenAI(base_url="http://127.0.0.1:%d/v1" % server.port, api_key="none", max_retries=0)
    part(openai_chat, server, client)
    part(openai_options, server, client)
    part(openai_tools, server, client)
    part(openai_text, server, client)
    part(openai_async, server)
    part(anthropic_all, server)
    part(ollama_all, server)
    part(openai_responses, server, client)
    case("the server drains and leaves with status 0", server.stop() == 0, server.stderr()[-500:])
part(retries)
finish()
