"""The application as development has it and its OpenAPI document, made once for all tests that read them."""

from typing import Any

from app.core.config import Settings
from app.main import create_app

APP = create_app(Settings(_env_file=None, env="development"))
DOCUMENT: dict[str, Any] = APP.openapi()
