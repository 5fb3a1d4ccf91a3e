"""Taller: a REST service for projects and their tasks.

`main` builds the application from the `features` list; `core` knows no feature; `auth`, `projects` and `tasks` are the
features, each importing only those before it. docs/architecture.md is the map.
"""
