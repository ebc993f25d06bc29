"""What was recorded: subjects, sessions, neurons, movies, stimulations and spikes."""

from dj_neuron._datajoint import dj
from dj_neuron.pipeline import movie_codec  # noqa: F401  (registers <movie>)

schema = dj.Schema()

# ends indexes by a measure: neurons with the same value come in the order of their keys, page after page
NEURON_KEY = "subject_name, session_date, sample_number, stimulation_number, neuron_id"


@schema
class Subject(dj.Manual):
    """The animal, or the line it belongs to."""

    definition = """
    # Animal or animal line
    subject_name              : varchar(128)    # as the source names it
    ---
    species = ""              : varchar(128)    # such as mouse
    subject_description = ""  : varchar(2000)    # remarks of the source
    """


@schema
class Session(dj.Manual):
    """One recording of one piece of retina, possibly without any stimulation."""

    definition = """
    # One recording of one piece of retina
    -> Subject
    session_date    : date             # day of the recording
    sample_number   : int32            # piece of retina recorded that day
    ---
    source_file     : varchar(255)     # name of the file it was read from
    source_sha256   : varchar(64)      # of that file's bytes
    reader          : varchar(64)      # what read it
    note = ""       : varchar(2000)    # remarks of the source
    """


@schema
class Neuron(dj.Manual):
    """A sorted unit; it keeps its number over the stimulations of a session."""

    definition = """
    # Sorted unit of a session
    -> Session
    neuron_id          : int32           # from 1
    ---
    source_label = ""  : varchar(128)    # what the source calls it
    index (source_label, subject_name, session_date, sample_number, neuron_id)
    """


@schema
class Movie(dj.Manual):
    """A stimulus movie, stored once however often it was shown."""

    definition = """
    # Stimulus movie
    movie_hash         : varchar(64)     # sha256 of content and geometry
    ---
    n_frames           : int32           # in the whole movie
    n_y                : int32           # rows of blocks
    n_x                : int32           # columns of blocks
    block_width_px     : int32           # screen pixels
    block_height_px    : int32           # screen pixels
    screen_width_px    : int32           # screen pixels
    screen_height_px   : int32           # screen pixels
    low_level = null   : float64         # contrast; null for a graded movie
    high_level = null  : float64         # contrast; null for a graded movie
    frames             : <movie@dj_neuron>    # contrast, (n_frames, n_y, n_x), read when asked for
    """


@schema
class Stimulation(dj.Manual):
    """One presentation of a movie."""

    definition = """
    # Presentation of a movie during a session
    -> Session
    stimulation_number    : int32      # place within the session, from 1
    ---
    -> Movie
    frame_rate_hz         : float64    # Hz, measured
    onset_s               : float64    # s, when frame 0 came on the screen
    pixel_size_um         : float64    # um on the retina per screen pixel
    frame_edges_s = null  : <blob>     # s, (n_frames + 1,); null for a regular rate
    gaps_s = null         : <blob>     # s, (n_gaps, 2) from, to; null without gaps
    """


@schema
class SpikeTrain(dj.Manual):
    """The spikes of one neuron during one stimulation."""

    definition = f"""
    # Spikes of a neuron during a stimulation
    -> Stimulation
    -> Neuron
    ---
    n_spikes       : int32     # during the stimulation, whether a frame was on the screen or not
    spike_times_s  : <blob>    # s on the clock of the recording, (n_spikes,)
    index (n_spikes, {NEURON_KEY})
    index (neuron_id, subject_name, session_date, sample_number, stimulation_number)
    """
