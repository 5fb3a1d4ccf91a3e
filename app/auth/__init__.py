"""Who is calling: users, login, sessions and API keys. Owners: see .github/CODEOWNERS.

Doors: models, access, scopes, schemas, errors.
"""
