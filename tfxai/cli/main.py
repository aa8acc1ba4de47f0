"""From the words of a command line to an exit status."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from tfxai.cli.parser import parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its errors and warnings become one line each on stderr.

    argv: the words after `tfxai`; unless given, those of this process.

    Returns the exit status: 0, 2 for what the user can mend, 130 if interrupted.
    Raises SystemExit(0) after --help and --version, as argparse does.
    """
    try:
        arguments = parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            arguments.command(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough, as in `tfxai layers ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, ImportError, OSError) as error:
        print(f"tfxai: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tfxai: interrupted", file=sys.stderr)
        return 130
    return 0


def _joined(words: Sequence[str]) -> list[str]:
    """`--preprocess -1..1` as one word, because argparse takes the value for an option."""
    joined: list[str] = []
    for word in words:
        if joined[-1:] == ["--preprocess"] and word.startswith("-1"):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _show_warning(message: Warning | str, *_: object) -> None:
    print(f"tfxai: warning: {' '.join(str(message).split())}", file=sys.stderr)
