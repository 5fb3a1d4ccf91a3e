"""Taller: a REST service for projects and their tasks.

`main` builds the application from the `features` list; `core` knows no feature; `auth`, `projects` and `tasks` are the
features, each importing only those before it. docs/architecture.md is the map.
"""

__version__ = "0.1.0"
"""The one version number: of the distribution, of the OpenAPI document and of the releases in CHANGELOG.md."""
