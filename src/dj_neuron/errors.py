"""The exceptions of dj-neuron: one tree, one sentence each.

Every message says what was got, where, and what was expected. The command line prints
the sentence and exits with code 2; programs catch :class:`DjNeuronError`.
"""


class DjNeuronError(Exception):
    """Base of everything that dj-neuron raises on purpose; its words are one line that a terminal only prints."""

    def __str__(self) -> str:
        return printable(super().__str__())


class ContractError(DjNeuronError, ValueError):
    """A value breaks the rules of a contract: wrong shape, unit, order or range."""


class AlignmentError(DjNeuronError, ValueError):
    """Spikes, delays and frames cannot be brought onto one clock."""


class ReadError(DjNeuronError):
    """A file is not what its reader expects; the message names the file and the place."""


class UnsafePickleError(ReadError):
    """A pickle asks for more than plain containers, numbers, strings and NumPy arrays."""


class ConflictError(DjNeuronError):
    """What is to be ingested contradicts what the pipeline already holds."""


class DatabaseError(DjNeuronError):
    """A database server cannot be started, reached or used."""


class ServerAwayError(DatabaseError):
    """A database server takes no connections now: it is not there, or it is starting or stopping."""


class StoreError(DjNeuronError):
    """An object in the store is missing or damaged, or the store cannot be reached or used."""


class PipelineError(DjNeuronError):
    """The pipeline cannot do what was asked of it in its present state."""


class ExportError(DjNeuronError):
    """A file cannot be written as asked."""


def is_from_the_database(error: BaseException) -> bool:
    """Whether an exception is DataJoint's or one of the database clients that it passes on as they are."""
    return type(error).__module__.partition(".")[0] in {"datajoint", "psycopg2", "pymysql"}


def words_of(error: BaseException) -> str:
    """Give what an exception says, on one line; of the databases' own that is among their numbers and statements."""
    texts = [text for text in error.args if isinstance(text, str)]
    said = " ".join(dict.fromkeys(texts[:2])) if is_from_the_database(error) else str(error)
    return printable(" ".join(said.split())) or type(error).__name__


def printable(text: str) -> str:
    """Escape what is in no line of text: names in files may hold line breaks, and codes that terminals act on."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
