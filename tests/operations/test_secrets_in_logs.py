"""Nothing that opens a door is ever written to the log."""

import io
import re

from fastapi import FastAPI
from sqlalchemy import text

from app.core.config import Settings
from app.core.database.database import Database
from app.main import create_app
from tests.auth.people import person, refresh, sign_in, tokens_of, with_token
from tests.support.client import Api

_DROPPED = text("ALTER TABLE users RENAME COLUMN password_state TO hidden")
_RESTORED = text("ALTER TABLE users RENAME COLUMN hidden TO password_state")

PASSWORD, WRONG, NEW = "planted-password-1", "planted-wrong-password-2", "planted-new-password-3"


async def _tour(app: FastAPI) -> set[str]:
    """Use, misuse and end every kind of secret; which they were."""
    used = {PASSWORD, WRONG, NEW, app.state.services[Settings].jwt_secret.get_secret_value()}
    await person(app, "Ada", password=PASSWORD)
    root = await person(app, "root", is_superuser=True)
    async with Api(app) as anonymous, await anonymous.as_(root) as admin:
        for username, password in (("Ada", WRONG), (PASSWORD, WRONG), ("Ada", PASSWORD + "\0")):
            assert (await sign_in(anonymous, username, password)).status_code in {400, 401}
        await anonymous.get(f"/auth/me?access_token={WRONG}")
        await anonymous.get(f"/nowhere/{WRONG}", headers={"Authorization": f"Basic {WRONG}"})
        await anonymous.post(
            "/auth/login", content=f'{{"password": "{PASSWORD}"', headers={"Content-Type": "application/json"}
        )
        tokens = await tokens_of(anonymous, "Ada", PASSWORD)
        await refresh(anonymous, tokens["refresh_token"] + "x")
        pair = (await refresh(anonymous, tokens["refresh_token"])).json()
        pair = (await refresh(anonymous, pair["refresh_token"])).json()
        assert (await refresh(anonymous, tokens["refresh_token"])).status_code == 401
        tokens = await tokens_of(anonymous, "Ada", PASSWORD)
        async with with_token(app, tokens["access_token"]) as api:
            key = (await api.post("/auth/api-keys", json={"name": "x", "scopes": ["tasks:read"]})).json()["secret"]
            async with anonymous.with_key(key) as caller, with_token(app, key[:-1] + "!") as mistyped:
                assert (await caller.get("/tasks/")).status_code == 200
                assert (await mistyped.get("/tasks/")).status_code == 401
                await api.patch("/auth/me", json={"password": NEW, "current_password": PASSWORD})
        once = (await admin.post("/users/", json={"username": "Ben"})).json()["one_time_password"]
        await sign_in(anonymous, "Ben", once)
        used |= {
            key,
            once,
            tokens["access_token"],
            tokens["refresh_token"],
            pair["access_token"],
            pair["refresh_token"],
        }
        # What goes wrong inside is logged with its trace, and the trace must not repeat it either.
        await app.state.services[Database].fetch_all(_DROPPED)
        try:
            # Somebody types the password where the name belongs; somebody registers.
            assert (await sign_in(anonymous, NEW, NEW)).status_code == 500
            eve = {"username": "Eve", "password": NEW}
            assert (await anonymous.post("/auth/register", json=eve)).status_code == 500
        finally:
            await app.state.services[Database].fetch_all(_RESTORED)
    return used


async def test_tour_with_each_kind_of_secret_logs_none(
    settings: Settings, database: Database, log: io.StringIO
) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        used = await _tour(app)
    written = log.getvalue()
    assert len(used) == 10
    assert [secret for secret in used if secret in written] == []
    # The capture is real: the tour's requests, and its failures with their traces, are in it.
    assert written.count('"route":"/api/v1/auth/login"') >= 5
    assert "Traceback" in written
    # Reasons name the header; its value is nowhere.
    assert re.search(r"(bearer|basic) \w", written, re.IGNORECASE) is None
    assert "$argon2" not in written
