#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The golden answers of tests/golden/wire, read by the official clients of OpenAI, Anthropic and Ollama
through a server that only hands them out. Needs a Python environment with these clients:
SOBRE_TEST_VENV, else the running Python's."""
import http.server
import json
import os
import sys
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.environ.get("SOBRE_TEST_VENV")
if VENV and sys.prefix != os.path.abspath(VENV):
    os.execv(os.path.join(VENV, "bin", "python"), [os.path.join(VENV, "bin", "python")] + sys.argv)
try:
    import anthropic
    import ollama
    import openai
except ImportError as e:
    print("1..0 # SKIP %s" % e)
    sys.exit(77)
sys.path.insert(0, os.path.join(ROOT, "tests"))
from tap import case, finish  # noqa: E402

ROWS = {  # path: the whole, the stream, and its type
    "/v1/messages": ("anthropic-whole.json", "anthropic-stream.txt", "text/event-stream"),
    "/v1/responses": ("responses-whole.json", "responses-stream.txt", "text/event-stream"),
    "/summary/responses": ("responses-whole.json", "responses-summary.txt", "text/event-stream"),
    "/api/chat": ("ollama-chat-whole.json", "ollama-chat-stream.txt", "application/x-ndjson"),
    "/api/generate": ("ollama-generate-whole.json", "ollama-generate-stream.txt", "application/x-ndjson"),
    "/api/pull": ("", "ollama-pull.txt", "application/x-ndjson"),
    "/api/tags": ("ollama-tags.json", "", ""),
    "/api/ps": ("ollama-ps.json", "", ""),
    "/v1/models": ("anthropic-models.json", "", ""),
    "/openai/chat/completions": ("openai-chat-whole.json", "openai-chat-stream.txt", "text/event-stream"),
    "/openai/completions": ("openai-text-whole.json", "openai-text-stream.txt", "text/event-stream"),
    "/openai/models": ("openai-models.json", "", ""),
}


class Canned(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = json.loads(body) if body else {}
        path = self.path.split("?")[0]
        whole, stream, kind = ROWS[path]
        wants = asked.get("stream", path.startswith("/api/") and self.command == "POST")
        name = stream if wants else whole
        with open(os.path.join(ROOT, "tests", "golden", "wire", name), "rb") as f:
            data = f.read()
        self.send_response(200)
        self.send_header("content-type", kind if wants else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = answer


SERVER = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Canned)
threading.Thread(target=SERVER.serve_forever, daemon=True).start()
BASE = "http://127.0.0.1:%d" % SERVER.server_port
TEXT, THOUGHT = "Let me \"look\"\nété.", "I should look."


def try_case(name, f):
    try:
        seen = f()
        case(name, seen is True, seen)
    except Exception as e:  # a client that cannot read an answer says so with one of many
        case(name, False, repr(e))


def message_is_right(m):
    kinds = [b.type for b in m.content]
    return (kinds == ["thinking", "text", "tool_use", "tool_use"] and m.content[0].thinking == THOUGHT
            and m.content[1].text == TEXT and m.content[2].input == {"command": "ls"}
            and m.content[3].input == {} and m.stop_reason == "tool_use" and m.usage.input_tokens == 20
            and m.usage.cache_read_input_tokens == 10 and m.usage.output_tokens == 9
            and m.usage.output_tokens_details.thinking_tokens == 5 or m)


claude = anthropic.Anthropic(api_key="k", base_url=BASE, max_retries=0)
ASK = {"model": "m", "max_tokens": 2048, "messages": [{"role": "user", "content": "hi"}]}


def anthropic_stream():
    with claude.messages.stream(**ASK) as s:
        words = [e.type for e in s]
        m = s.get_final_message()
    return "text" in words and words[-1] == "message_stop" and message_is_right(m)


def anthropic_round():
    m = claude.messages.create(**ASK)
    again = ASK["messages"] + [{"role": "assistant", "content": m.content},
                               {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1_0",
                                                             "content": "bin"}]}]
    return message_is_right(claude.messages.create(**{**ASK, "messages": again}))


try_case("anthropic: an answer", lambda: message_is_right(claude.messages.create(**ASK)))
try_case("anthropic: a stream", anthropic_stream)
try_case("anthropic: an answer goes back as history", anthropic_round)
try_case("anthropic: energy is in its usage",
         lambda: claude.messages.create(**ASK).usage.energy["energy_joules"] == 1.5)

gpt = openai.OpenAI(api_key="k", base_url=BASE + "/v1", max_retries=0)
summary = openai.OpenAI(api_key="k", base_url=BASE + "/summary", max_retries=0)


def response_is_right(r):
    kinds = [i.type for i in r.output]
    return (kinds == ["reasoning", "message", "function_call", "function_call"] and r.output_text == TEXT
            and r.output[2].arguments == '{"dir":"/"}' and r.output[2].call_id == "call_1_0"
            and r.status == "completed" and r.usage.input_tokens_details.cached_tokens == 10
            and r.usage.output_tokens_details.reasoning_tokens == 5 and r.instructions == "Be kind."
            and r.usage.energy["energy_joules"] == 1.5 or r)


def responses_stream():
    with gpt.responses.stream(model="m", input="hi") as s:
        numbers = [e.sequence_number for e in s]
        r = s.get_final_response()
    return numbers == list(range(len(numbers))) and response_is_right(r)


def responses_summary():
    text = "".join(e.delta for e in summary.responses.create(model="m", input="hi", stream=True)
                   if e.type == "response.reasoning_summary_text.delta")
    return text == THOUGHT or text


try_case("responses: an answer", lambda: response_is_right(gpt.responses.create(model="m", input="hi")))
try_case("responses: a stream", responses_stream)
try_case("responses: a summary of the reasoning", responses_summary)

chats = openai.OpenAI(api_key="k", base_url=BASE + "/openai", max_retries=0)
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def chat_is_right(c):
    m, u = c.choices[0].message, c.usage
    calls = [(t.id, t.function.name, json.loads(t.function.arguments)) for t in m.tool_calls]
    return (m.content == 'It is "été".\n' and m.reasoning_content == "Let me think."
            and calls == [("call_0", "weather", {"city": "Paris"}), ("call_1", "clock", {})]
            and c.choices[0].finish_reason == "tool_calls" and len(c.choices[0].logprobs.content) == 16
            and c.choices[0].logprobs.content[0].top_logprobs[1].token == "B" and u.prompt_tokens == 10
            and u.prompt_tokens_details.cached_tokens == 2 and u.completion_tokens_details.reasoning_tokens == 3
            and u.energy["energy_joules"] == 1.5 or c)


def chat_stream():
    text, thought, names, args, n_logprobs, last = "", "", [], "", 0, None
    for last in chats.chat.completions.create(**CHAT, stream=True):
        for choice in last.choices:
            text += choice.delta.content or ""
            thought += getattr(choice.delta, "reasoning_content", "") or ""
            n_logprobs += len(choice.logprobs.content) if choice.logprobs else 0
            for call in choice.delta.tool_calls or []:
                names += [call.function.name] if call.id else []
                args += call.function.arguments
    return ((text, thought, names, args, n_logprobs) == ('It is "été".\n', "Let me think.", ["weather", "clock"],
                                                         '{"city":"Paris"}{}', 16)
            and last.usage.total_tokens == 26 and last.usage.energy["energy_uj"] == 1500000
            or (text, thought, names, args, n_logprobs, last))


def chat_stream_helper():
    with chats.chat.completions.stream(**CHAT) as s:
        for _ in s:
            pass
        return chat_is_right(s.get_final_completion())


def text_both_ways():
    whole = chats.completions.create(model="m", prompt="Say ")
    parts = list(chats.completions.create(model="m", prompt="Say ", stream=True))
    lp = whole.choices[0].logprobs
    return (whole.choices[0].text == "".join(p.choices[0].text for p in parts) == "Hello there"
            and whole.choices[0].finish_reason == parts[-1].choices[0].finish_reason == "stop"
            and lp.tokens == ["a", "b"] and lp.text_offset == [0, 1] and lp.top_logprobs[0]["A"] == -0.25 or whole)


try_case("chat: an answer", lambda: chat_is_right(chats.chat.completions.create(**CHAT)))
try_case("chat: a stream", chat_stream)
try_case("chat: the stream put together by the client", chat_stream_helper)
try_case("completions: both ways", text_both_ways)
try_case("chat: lists of models", lambda: [m.id for m in chats.models.list()] == ["m:q8"])

llama = ollama.Client(host=BASE)


def ollama_chat():
    m = llama.chat("m", [{"role": "user", "content": "hi"}])
    calls = [(c.function.name, c.function.arguments) for c in m.message.tool_calls]
    return (m.message.content == TEXT and m.message.thinking == THOUGHT and m.done_reason == "stop"
            and calls == [("ls", {"dir": "/"}), ("now", {})] and m.prompt_eval_count == 30 and m.eval_count == 6 or m)


def ollama_chat_stream():
    text, thought, calls, last = "", "", [], None
    for last in llama.chat("m", [{"role": "user", "content": "hi"}], stream=True):
        text += last.message.content or ""
        thought += last.message.thinking or ""
        calls += last.message.tool_calls or []
    return (text, thought, len(calls), last.done, last.load_duration) == (TEXT, THOUGHT, 2, True, 5000000) or text


def ollama_generate():
    parts = list(llama.generate("m", "hi", stream=True))
    whole = llama.generate("m", "hi")
    return ("".join(p.response for p in parts) == whole.response == TEXT and parts[-1].done_reason == "length"
            and parts[-1].context == whole.context == list(range(30)) + list(range(65, 71))
            and len(whole.logprobs) == 6 and whole.logprobs[0].top_logprobs[1].token == "?" or whole)


def ollama_lists():
    tags, ps = llama.list(), llama.ps()
    return ([m.model for m in tags.models] == [m.model for m in ps.models] == ["smollm2-135m", "big"]
            and tags.models[0].details.parameter_size == "134.52M" and ps.models[0].context_length == 4096
            and ps.models[0].expires_at.year == 2026 or (tags, ps))


try_case("ollama: a chat", ollama_chat)
try_case("ollama: a chat as a stream", ollama_chat_stream)
try_case("ollama: generate, both ways", ollama_generate)
try_case("ollama: lists of models", ollama_lists)
try_case("ollama: progress of a pull", lambda: [p.status for p in llama.pull("m", stream=True)]
         == ["pulling manifest", "pulling 5a13", "success"])
try_case("anthropic: lists of models", lambda: [(m.id, m.display_name) for m in claude.models.list()]
         == [("b", "B model"), ("a", "a")])
finish()
