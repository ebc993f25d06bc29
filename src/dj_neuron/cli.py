"""The entry point: it listens to signals before it loads anything."""

import signal
import sys

from dj_neuron.cli_ending import EndedError, end


def main() -> None:
    """Run the command line: exit 0; 2 with one sentence for what a person can mend; 1 for a fault of ours.

    As with other programs it is 128 + the number of the signal that ends it, and that of SIGPIPE if nobody reads on.
    """
    # a command that is ended closes its pipeline, so that the last one stops the embedded server
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        from dj_neuron.cli_verbs import run

        run()
    except EndedError:
        print("ended before it was done", file=sys.stderr)  # noqa: T201 - nothing else may be loaded yet
        raise


if __name__ == "__main__":
    main()
