"""Asks a Braid platform.

    from braid_client import Client

    with Client("http://127.0.0.1:8080") as braid:
        print(braid.total("views", {"video_id": "video-42"}, start="-24h").values)

`Client` asks; a `Question` is what can be asked of a metric, alone, with others, or again and again. What comes back is one of the answers, as
a frozen dataclass, and what goes wrong is a `BraidError`.
"""

from .answers import Answer, Gap, KeySeries, KeyTotal, Keys, Point, Series, Top, TopRow, Total
from .client import Client
from .errors import (
    BadRequestError,
    BraidError,
    ForbiddenError,
    IncompleteError,
    NotFoundError,
    ProblemError,
    RateLimitedError,
    ServerError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    UnreadableError,
)
from .follow import Follow, Missed, Output, VersionTold
from .listings import (
    Alert,
    Alerts,
    Field,
    Freshness,
    Metric,
    Promotion,
    Report,
    ReportRow,
    Status,
    Stream,
    StreamOutputs,
    Table,
    TableRow,
    Version,
    Versions,
)
from .question import Question
from .rejected import Rejected, RejectedRecord, ShownBytes
from .watch import Answered, Fresh, Troubled, Watch

__all__ = [
    "Alert",
    "Alerts",
    "Answer",
    "Answered",
    "BadRequestError",
    "BraidError",
    "Client",
    "Field",
    "Follow",
    "ForbiddenError",
    "Fresh",
    "Freshness",
    "Gap",
    "IncompleteError",
    "KeySeries",
    "KeyTotal",
    "Keys",
    "Metric",
    "Missed",
    "NotFoundError",
    "Output",
    "Point",
    "ProblemError",
    "Promotion",
    "Question",
    "RateLimitedError",
    "Rejected",
    "RejectedRecord",
    "Report",
    "ReportRow",
    "Series",
    "ServerError",
    "ShownBytes",
    "Status",
    "Stream",
    "StreamOutputs",
    "Table",
    "TableRow",
    "Top",
    "TopRow",
    "Total",
    "Troubled",
    "UnauthorizedError",
    "UnavailableError",
    "UnreachableError",
    "UnreadableError",
    "Version",
    "VersionTold",
    "Versions",
    "Watch",
]
