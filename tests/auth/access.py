"""What the access matrix has to know of accounts, sessions and API keys."""

from app.core.ids import uuid7
from tests.access.world import PASSWORD, Asked, Hidden, of_person

_ADMINISTERED = Hidden(("stranger", "owner"), of_person("admin"), "403 admin_required")
_KEY = Hidden(("owner", "admin"), lambda world: world.keys["editor"].id, "404 api_key_not_found")

ASKED = Asked(
    bodies={
        "register": lambda _: {"username": f"new-{uuid7().hex[-20:]}", "password": PASSWORD},
        "login": lambda world: {"username": world.people["owner"].username, "password": PASSWORD},
        "refresh_tokens": lambda world: {"refresh_token": world.refresh_token},
        "update_me": lambda _: {"password": "staple staple staple", "current_password": PASSWORD},
        "delete_me": lambda _: {"password": PASSWORD},
        "create_api_key": lambda _: {"name": "another", "scopes": ["members:read"]},
        "create_user": lambda _: {"username": f"new-{uuid7().hex[-20:]}"},
        "update_user": lambda _: {"is_active": False},
    },
    hidden={
        "delete_session": {
            "session_id": Hidden(("owner", "admin"), lambda world: world.sessions["editor"].id, "404 session_not_found")
        },
        "create_api_key": {
            "project_id": Hidden(("stranger",), lambda world: world.here.project.id, "400 invalid_request"),
        },
        "read_api_key": {"key_id": _KEY},
        "delete_api_key": {"key_id": _KEY},
        "read_user": {"user_id": _ADMINISTERED},
        "update_user": {"user_id": _ADMINISTERED},
        "read_person": {
            "username": Hidden(
                ("stranger", "owner", "admin"), lambda world: world.people["deactivated"].username, "404 user_not_found"
            )
        },
    },
)
