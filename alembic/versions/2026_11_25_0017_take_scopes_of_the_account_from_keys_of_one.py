"""Take scopes of the account from keys of one project.

Revision: 0017
Revises: 0016
Created: 2026-11-25
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Remove the scopes: the service ignores them already, so they need not be shown either."""
    op.execute(
        "UPDATE api_keys SET scopes = array_remove(array_remove(scopes, 'account:read'), 'account:write') "
        "WHERE project_id IS NOT NULL AND scopes && ARRAY['account:read', 'account:write']"
    )


def downgrade() -> None:
    """Change nothing: what a key could do beyond its project does not come back."""
