"""Who is calling: users, login and tokens. Owners: see .github/CODEOWNERS. Doors: models, access, schemas, errors."""
