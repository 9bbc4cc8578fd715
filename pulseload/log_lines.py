"""Log lines as JSON, for programs that read logs."""

import json
import logging
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """Makes each line a JSON object: time (UTC), level, logger, message, a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)
