"""What leads to PostgreSQL: connections, statements, transactions, and the schema's history."""
