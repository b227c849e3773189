"""What a user can get wrong."""


class CryomixError(Exception):
    """A mistake of the user's: the command line prints it in one line and exits with 2."""


class InputFileError(CryomixError, ValueError):
    """A file that is missing, malformed or at odds with another."""


class MissingColumnError(InputFileError):
    """A metadata file lacks a column that is needed."""


class BoxMismatchError(InputFileError):
    """Box or pixel size of two inputs differ."""


class ResolutionError(CryomixError, ValueError):
    """A resolution that these data cannot have."""


class OptionError(CryomixError, ValueError):
    """An option outside its range."""


class OutputError(CryomixError, OSError):
    """A place that cannot be written, or must not be overwritten."""


class CheckpointError(CryomixError, ValueError):
    """A job folder or model file that cannot be used."""


class DeviceError(CryomixError, RuntimeError):
    """A device that is not there."""


class ProcessError(CryomixError, RuntimeError):
    """A run of many processes of which one has ended, or sees other files than the rest."""


class DataWarning(UserWarning):
    """Input that can be used, but of which some part is set aside."""
