"""The pipeline as pages in a browser, read-only; ``dj-neuron explore``."""
