"""What the access matrix has to know of projects and their members."""

from tests.access.scenario import AccessSamples, SecretId, of_person

_NO_MEMBER = SecretId(("owner", "admin", "key_with"), of_person("stranger"), "404 member_not_found")
_NO_USER = SecretId(("owner", "admin", "key_with"), of_person("deactivated"), "404 user_not_found")

SAMPLES = AccessSamples(
    bodies={
        "create_project": lambda _: {"name": "Workshop"},
        "update_project": lambda _: {"name": "Workshop"},
        "patch_project": lambda _: {"name": "Workshop"},
        "set_member": lambda _: {"role": "editor"},
    },
    hidden={
        "read_member": {"user_id": _NO_MEMBER},
        "set_member": {"user_id": _NO_USER},
        "remove_member": {"user_id": _NO_MEMBER},
    },
)
