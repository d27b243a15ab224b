"""A local server that answers as those of OpenAI and Anthropic do, with server-sent events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adieu.testing import FaultServer
    from adieu.testing.peer import Ending, Peer
    from adieu.testing.request import Request

__all__ = ["serve_models"]

_DELTAS = [f"word {number} " for number in range(20)]


def serve_models(server: FaultServer) -> None:
    """Answer on `/openai/chat/completions` and `/anthropic/v1/messages`.

    The name of the model says how: "whole", "endless" (the stream never ends), "busy" (429), "silent" (no answer).
    """
    server.on("/openai/chat/completions", _openai)
    server.on("/anthropic/v1/messages", _anthropic)


def _openai(peer: Peer, request: Request) -> Ending:
    asked = json.loads(request.body)
    events = [
        _event(
            {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"},
            choices=[{"index": 0, "delta": {"content": word}, "finish_reason": None}],
        )
        for word in _DELTAS
    ]
    message = {"role": "assistant", "content": "hello"}
    whole: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    whole["choices"] = [{"index": 0, "finish_reason": "stop", "message": message}]
    return _answer(peer, asked, events, "data: [DONE]\n\n", whole)


def _anthropic(peer: Peer, request: Request) -> Ending:
    asked = json.loads(request.body)
    usage = {"input_tokens": 1, "output_tokens": 1}
    whole: dict[str, Any] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "usage": usage,
    }
    whole |= {"content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn"}
    whole["stop_sequence"] = None
    events = [
        _named("message_start", message={**whole, "content": [], "stop_reason": None}),
        _named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(
            _named("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
            for word in _DELTAS
        ),
        _named("content_block_stop", index=0),
        _named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9}),
    ]
    return _answer(peer, asked, events, _named("message_stop"), whole)


def _answer(
    peer: Peer, asked: dict[str, Any], events: list[str], last: str, whole: dict[str, Any]
) -> Ending:
    match asked["model"]:
        case "busy":
            peer.reply(
                429, b'{"error": {"message": "busy"}}', [("content-type", "application/json")]
            )
            return "keep"
        case "silent":
            peer.read_raw()
            return "close"
        case _ if not asked.get("stream"):
            peer.reply(200, json.dumps(whole).encode(), [("content-type", "application/json")])
            return "keep"
    fields = [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]
    peer.start(200, fields)
    for event in events:
        peer.send(_chunk(event))
    if asked["model"] == "endless":
        peer.read_raw()
        return "close"
    peer.send(_chunk(last))
    peer.send(_chunk(""))
    return "keep"


def _event(event: dict[str, Any], **more: Any) -> str:
    return f"data: {json.dumps(event | more)}\n\n"


def _named(name: str, **fields: Any) -> str:
    return f"event: {name}\n{_event({'type': name}, **fields)}"


def _chunk(text: str) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text.encode()), text.encode())
