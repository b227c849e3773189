"""The explorer of a job in a cell of a notebook."""

import os
from pathlib import Path

from cryomix.commands.exploration import read_exploration
from cryomix.errors import OptionError
from cryomix.files.job import open_job

try:
    from cryomix.viewer.widget import SessionWidget
except ModuleNotFoundError as error:
    raise OptionError(
        f"cryomix.notebook needs {error.name}, got none; pip install 'cryomix[notebook]'"
    ) from error

__all__ = ["Explorer"]


class Explorer(SessionWidget):
    """The explorer of ``cryomix view`` as a widget: put it last in a cell, and it is shown.

    Parameters
    ----------
    job
        Folder of a job.

    Attributes
    ----------
    latent
        Of the model that is shown, float32; set it, and the page goes there.
    selection
        Rows of the chosen particles, from 0, sorted; set it to rows or to a mask over all
        particles, and they are chosen in the page.

    Raises
    ------
    CheckpointError
        If the folder is no job, or a file of it is malformed.
    """

    def __init__(self, job: str | os.PathLike[str]) -> None:
        # A notebook may change its folder, and its commands are copied to other places.
        super().__init__(read_exploration(open_job(Path(job).absolute())))
