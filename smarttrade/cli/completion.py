"""`smarttrade completion`: a script with which a shell completes commands and options."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Mapping
from importlib import import_module

from ..settings.deprecated import DEPRECATED
from ..settings.variables import option_of
from .commands import COMMANDS

_BASH = """\
# For bash: add `source <(smarttrade completion bash)` to ~/.bashrc
_smarttrade() {{
  local words="{commands}"
  if (( COMP_CWORD > 1 )); then
    case "${{COMP_WORDS[1]}}" in
{cases}
      *) words="" ;;
    esac
  fi
  COMPREPLY=( $(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}") )
}}
complete -o default -F _smarttrade smarttrade
"""

_ZSH = """\
# For zsh: add `source <(smarttrade completion zsh)` to ~/.zshrc
autoload -U +X bashcompinit && bashcompinit
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(arguments: argparse.Namespace) -> int:
    options = {command: [*_options(command)] for command in COMMANDS}
    if arguments.shell == "fish":
        print("\n".join(_fish(options)))
    else:
        print((_ZSH if arguments.shell == "zsh" else "") + _bash(options), end="")
    return 0


def _options(command: str) -> Iterator[str]:
    parser = argparse.ArgumentParser()
    import_module(f".{command}", __package__).add_arguments(parser)
    hidden = {option_of(name) for name in DEPRECATED}
    for action in parser._actions:  # noqa: SLF001  # argparse has no public list
        long = (each for each in action.option_strings if each.startswith("--"))
        yield from (each for each in long if each not in hidden)
        if not action.option_strings and action.choices:
            yield from action.choices


def _bash(options: Mapping[str, list[str]]) -> str:
    cases = "\n".join(
        f'      {name}) words="{" ".join(all_)}" ;;' for name, all_ in options.items()
    )
    return _BASH.format(commands=" ".join(options), cases=cases)


def _fish(options: Mapping[str, list[str]]) -> Iterator[str]:
    yield "# For fish: smarttrade completion fish > ~/.config/fish/completions/smarttrade.fish"
    for command, words in options.items():
        does = shlex.quote(COMMANDS[command])
        yield f"complete -c smarttrade -n __fish_use_subcommand -a {command} -d {does}"
        for word in words:
            given = f"-l {word[2:]}" if word.startswith("--") else f"-a {word}"
            yield f"complete -c smarttrade -n '__fish_seen_subcommand_from {command}' {given}"
