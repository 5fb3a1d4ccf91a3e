"""What the access matrix has to know of accounts, sessions and API keys."""

from app.core.ids import uuid7
from tests.access.scenario import PASSWORD, AccessSamples, SecretId, of_person

_ADMINISTERED = SecretId(("stranger", "owner"), of_person("admin"), "403 admin_required")
_KEY = SecretId(("owner", "admin"), lambda scenario: scenario.keys["editor"].id, "404 api_key_not_found")

SAMPLES = AccessSamples(
    bodies={
        "register": lambda _: {"username": f"new-{uuid7().hex[-20:]}", "password": PASSWORD},
        "login": lambda scenario: {"username": scenario.people["owner"].username, "password": PASSWORD},
        "refresh_tokens": lambda scenario: {"refresh_token": scenario.refresh_token},
        "update_me": lambda _: {"password": "staple staple staple", "current_password": PASSWORD},
        "delete_me": lambda _: {"password": PASSWORD},
        "create_api_key": lambda _: {"name": "another", "scopes": ["members:read"]},
        "create_user": lambda _: {"username": f"new-{uuid7().hex[-20:]}"},
        "update_user": lambda _: {"is_active": False},
    },
    hidden={
        "delete_session": {
            "session_id": SecretId(
                ("owner", "admin"), lambda scenario: scenario.sessions["editor"].id, "404 session_not_found"
            )
        },
        "create_api_key": {
            "project_id": SecretId(("stranger",), lambda scenario: scenario.here.project.id, "400 invalid_request"),
        },
        "read_api_key": {"key_id": _KEY},
        "delete_api_key": {"key_id": _KEY},
        "read_user": {"user_id": _ADMINISTERED},
        "update_user": {"user_id": _ADMINISTERED},
        "read_person": {
            "username": SecretId(
                ("stranger", "owner", "admin"),
                lambda scenario: scenario.people["deactivated"].username,
                "404 user_not_found",
            )
        },
    },
)
