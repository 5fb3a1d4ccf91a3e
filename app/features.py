"""The list of features, lowest layer first. A new feature is added here.

Importing a router imports its models, so that this list also completes the metadata that Alembic compares.
"""

from typing import Any

from app.auth.access import security_schemes
from app.auth.accounts.router import router as accounts
from app.auth.accounts.router import users
from app.auth.api_keys.router import router as api_keys
from app.auth.callers import PURGE_RULES as ACCESS_PURGE_RULES
from app.auth.ports import Ports
from app.auth.sessions.router import router as sessions
from app.comments.router import router as comments
from app.labels.router import router as labels
from app.projects.access import project_visible
from app.projects.router import router as projects
from app.projects.service import close_account
from app.system.guides import guide
from app.system.router import documentation, health
from app.tasks.blockers.router import router as blockers
from app.tasks.router import router as tasks

PORTS = Ports(closing_steps=(close_account,), project_visible=project_visible)
"""The functions of the features above `auth` that `auth` calls."""

PURGE_RULES = ACCESS_PURGE_RULES
"""The rules by which the purger deletes rows of the features."""

ROUTERS = (
    health,
    documentation,
    accounts,
    sessions,
    api_keys,
    users,
    projects,
    labels,
    tasks,
    blockers,
    comments,
)

PROBES = frozenset(route.path for route in health.routes)
"""The routes that a supervisor asks again and again: each success has a log line at `debug` only."""

# In the order of the documentation: what newcomers look for stands first.
TAGS: list[dict[str, Any]] = [
    {
        "name": "projects",
        "description": "What people work in, and with whom.",
        "externalDocs": guide("concurrency"),
    },
    {"name": "tasks", "description": "What there is to do in a project.", "externalDocs": guide("filtering")},
    {"name": "comments", "description": "What people say about tasks.", "externalDocs": guide("together")},
    {"name": "labels", "description": "What kinds of tasks a project has.", "externalDocs": guide("together")},
    {
        "name": "auth",
        "description": "Sign in, your account, your sessions and your API keys.",
        "externalDocs": guide("write-a-client"),
    },
    {"name": "users", "description": "Other people: look one up to share a project; for administrators, all accounts."},
    {"name": "health", "description": "For those who run the service."},
    {"name": "documentation", "description": "What problem codes mean.", "externalDocs": guide("errors")},
]

__all__ = ["PORTS", "PROBES", "PURGE_RULES", "ROUTERS", "TAGS", "security_schemes"]
