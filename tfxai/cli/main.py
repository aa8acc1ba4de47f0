"""From the words of a command line to an exit status."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence

from tfxai.cli.output import printable
from tfxai.cli.parser import parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its errors and warnings become one line each on stderr.

    argv: the words after `tfxai`; unless given, those of this process.

    Returns the exit status: 0, 1 for a mistake of ours (the sentence names the file with the traceback), 2 for what the
    user can mend, 130 if interrupted. `verify`, whose 1 and 2 are answers, gives 3 for both; `gate`, whose 1 is one, 3 for a mistake of
    ours.
    Raises SystemExit(0) after --help and --version, as argparse does.
    """
    words = _joined(sys.argv[1:] if argv is None else argv)
    mended = 3 if words[:1] == ["verify"] else 2
    ours = 3 if words[:1] in (["verify"], ["gate"]) else 1
    status = 0
    try:
        arguments = parser().parse_args(words)
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            status = arguments.command(arguments) or 0
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough, as in `tfxai layers ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, ImportError, OSError, MemoryError) as error:
        _say(str(error) or "there is not enough memory")
        return mended
    except KeyboardInterrupt as error:
        _say(str(error) or "interrupted")
        return 130
    except Exception as error:
        with tempfile.NamedTemporaryFile("w", prefix="tfxai-", suffix=".txt", delete=False) as file:
            traceback.print_exception(error, file=file)
        _say(
            f"this is our mistake, not yours: {type(error).__name__} ({str(error)[:200]}). Please report it, with {file.name}."
        )
        return ours
    return status


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
    _say(f"warning: {message}")


def _say(message: str) -> None:
    print(f"tfxai: {printable(' '.join(message.split()))}", file=sys.stderr)
