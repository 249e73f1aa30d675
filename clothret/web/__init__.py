"""The search page and its HTTP API."""

from clothret.web.app import create_app
from clothret.web.server import serve

__all__ = ["create_app", "serve"]
