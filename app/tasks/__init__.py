"""The tasks of projects. The canonical feature: read this one first. Owners: see .github/CODEOWNERS.

Public modules: models, access, scopes, schemas, errors.
"""
