"""Accounts: registration, the caller's own account, and all accounts for administrators."""
