"""Computing keys that no one else is at: reservations, signs of life, and the loop of a worker."""

from dj_neuron.jobs.display import Display
from dj_neuron.jobs.loop import Outcome, Worker
from dj_neuron.jobs.patience import PatientConnection
from dj_neuron.jobs.presence import FIRST_TICKET, living
from dj_neuron.jobs.reservations import Reservations

__all__ = ["FIRST_TICKET", "Display", "Outcome", "PatientConnection", "Reservations", "Worker", "living"]
