"""What a Citus router is known not to take, in which Taller may run as a distributed schema (docs/scaling.md)."""

import re

_REFUSED = {
    r"\bVALUES\b[^;]*?\$\d[^;]*?\)\s*,\s*\(": "several rows of VALUES with parameters: use arrays and unnest",
    r"\bctid\b": "ctid: use the primary key",
    r"\b(FROM|JOIN|INTO|UPDATE)\s+(?!pg_catalog\.|information_schema\.)\"?\w+\"?\.\"?\w+": (
        "a table with its schema: the search path says which is meant"
    ),
}


def refused_by_a_router(sql: str) -> list[str]:
    """Why Citus would not take a statement."""
    # The FROM of EXTRACT names no table.
    without = re.sub(r"extract\s*\(\s*\w+\s+FROM\b", "extract(", sql, flags=re.IGNORECASE)
    return [reason for pattern, reason in _REFUSED.items() if re.search(pattern, without, re.IGNORECASE)]
