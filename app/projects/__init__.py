"""What people work in, and with whom. Owners: see .github/CODEOWNERS.

Doors: models, access, scopes, schemas, errors.
"""
