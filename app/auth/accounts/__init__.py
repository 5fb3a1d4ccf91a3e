"""Accounts: registering, one's own, and everybody's for administrators."""
