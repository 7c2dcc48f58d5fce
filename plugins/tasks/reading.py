"""Files of the user's: what the tasks charlm, sentiment and forecast read them with.

Text is UTF-8, with a byte order mark or without one. What is wrong with a file is said with its name and line.
"""

from errno import EINVAL
from pathlib import Path

import minigrad as mg


def read_text(where: str, path: str, what: str = "text") -> str:
    """The text of a file, without its byte order mark;  where: `charlm: text=`, for messages.

    Raises:
        UsageError: for a file that is missing, no plain file, or binary.
    """
    task, remedy = where.partition(":")[0], f"Name a readable {what} file."
    try:
        path.encode()
        if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
            raise OSError(EINVAL, "this is no plain file, which can be read again when the run goes on")
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise mg.errors.UsageError(f"{where}{path}: {error.strerror}. {remedy}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise mg.errors.UsageError(
            f"{task}: {path}, line {line}: byte {error.start} is {error.object[error.start]:#04x}, which is not UTF-8 "
            "text. Convert the file, or name another."
        ) from None
    except ValueError:
        raise mg.errors.UsageError(f"{where}{path!r} is not the name of a file. {remedy}") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise mg.errors.UsageError(f"{task}: {path}, line {line}: there is a zero byte; the file is binary. {remedy}")
    return text.removeprefix("\ufeff")
