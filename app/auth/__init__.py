"""Who is calling: users, login, sessions and API keys. Owners: see .github/CODEOWNERS.

Public modules: models, access, scopes, schemas, errors.
"""
