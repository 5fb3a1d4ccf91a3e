"""What there is to do. The canonical feature: read this one first. Owners: see .github/CODEOWNERS.

Doors: models, access, scopes, schemas, errors.
"""
