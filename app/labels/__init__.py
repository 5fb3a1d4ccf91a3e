"""The labels of projects and tasks. Owners: see .github/CODEOWNERS.

Public modules: models, access, scopes, schemas, errors.
"""
