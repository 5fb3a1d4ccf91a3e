"""The comments on tasks. Owners: see .github/CODEOWNERS.

Public modules: models, access, scopes, schemas, errors.
"""
