"""Write translator/config/schema.json, with which editors complete and check a configuration."""

import json
from pathlib import Path

from translator.config import Config

SCHEMA = Path(__file__).parent.parent / "translator" / "config" / "schema.json"


def schema() -> str:
    """The JSON Schema of a configuration, as it stands in the file."""
    return json.dumps(Config.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
