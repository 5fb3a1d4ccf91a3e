"""Access to PostgreSQL: connections, statements, transactions and migrations."""
