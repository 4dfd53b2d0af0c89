"""What goes wrong with a request, by the names of gRPC's status codes."""

HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The HTTP status that TF-Serving answers with for each code; 500 for every other one."""


class ServingError(OSError):
    """A request that was not answered with what it asked for.

    Args:
        code: the name of a gRPC status code, such as "INVALID_ARGUMENT", also over REST.
        message: what was wrong.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
