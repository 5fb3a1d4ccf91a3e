"""The features of this application, lowest layer first: the one list that a new feature joins.

Importing a router imports its models, so this list also completes the metadata that Alembic compares with.
"""

from app.auth.router import router as auth
from app.core.documentation import router as documentation
from app.core.health import router as health
from app.projects.router import router as projects
from app.tasks.router import router as tasks

ROUTERS = (health, auth, projects, tasks, documentation)

TAGS = [
    {"name": "auth", "description": "Sign in, and see who you are."},
    {"name": "projects", "description": "What people work in."},
    {"name": "tasks", "description": "What there is to do in a project."},
    {"name": "health", "description": "For those who run the service."},
    {"name": "documentation", "description": "What problem codes mean."},
]
