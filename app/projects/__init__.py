"""Projects and their members. Owners: see .github/CODEOWNERS.

Public modules: models, access, scopes, schemas, errors.
"""
