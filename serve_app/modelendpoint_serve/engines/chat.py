"""From what a caller sends to the messages that a chat template takes."""

from __future__ import annotations

from typing import Any

from modelendpoint_serve.errors import INPUT, invalid_input

# `developer` is what OpenAI's newer models call the system.
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}

Message = dict[str, str]


def conversation(item: Any, system: str | None) -> list[Message]:
    """The checked messages; a bare string is one from the user. `system` is used where they bring none."""
    if isinstance(item, str):
        messages, last = [{"role": "user", "content": _text(item, INPUT)}], INPUT
    elif isinstance(item, list) and item:
        messages = [_message(message, f"{INPUT}[{index}]") for index, message in enumerate(item)]
        last = f"{INPUT}[{len(item) - 1}].content"
    else:
        raise invalid_input("Must be a string or a list of at least one message.", INPUT)
    if not messages[-1]["content"].strip():
        raise invalid_input("Must not be empty.", last)
    if system and all(message["role"] != "system" for message in messages):
        messages.insert(0, {"role": "system", "content": system})
    return messages


def plain_prompt(messages: list[Message]) -> str:
    """The prompt for a model without chat template: a lone text as it is, a dialogue as a script."""
    if [message["role"] for message in messages] == ["user"]:
        return messages[0]["content"]
    lines = [f"{message['role']}: {message['content']}\n" for message in messages]
    return "".join(lines) + "assistant:"


def _message(message: Any, path: str) -> Message:
    if not isinstance(message, dict):
        raise invalid_input(f"Must be an object with role and content, not {_kind(message)}.", path)
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise invalid_input(f"Must be one of {', '.join(ROLES)}, not {role!r:.100}.", f"{path}.role")
    return {"role": ROLES[role], "content": _content(message.get("content"), f"{path}.content")}


def _content(content: Any, path: str) -> str:
    if isinstance(content, list) and content:
        return "".join(_part(part, f"{path}[{index}]") for index, part in enumerate(content))
    return _text(content, path)


def _part(part: Any, path: str) -> str:
    if not isinstance(part, dict) or part.get("type") != "text":
        raise invalid_input('Must be {"type": "text", "text": …}: this model reads text only.', path)
    return _text(part.get("text"), f"{path}.text")


def _text(text: Any, path: str) -> str:
    if not isinstance(text, str):
        raise invalid_input(f"Must be a string, not {_kind(text)}.", path)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise invalid_input("Must be text: it has half of a surrogate pair.", path)
    return text


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
