"""``python -m dj_neuron`` is the command line."""

from dj_neuron.cli import main

if __name__ == "__main__":
    main()
