"""What people work in. Owners: see .github/CODEOWNERS. Doors: models, access, schemas, errors."""
