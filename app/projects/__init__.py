"""What people work in, and with whom. Owners: see .github/CODEOWNERS.

Public modules: models, access, scopes, schemas, errors.
"""
