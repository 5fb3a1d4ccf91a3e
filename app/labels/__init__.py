"""What kinds of tasks a project has. Owners: see .github/CODEOWNERS.

Public modules: models, access, scopes, schemas, errors.
"""
