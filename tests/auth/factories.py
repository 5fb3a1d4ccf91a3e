"""People."""

from polyfactory import Use

from app.auth.models import User
from tests.support.factories import RowFactory


class UserFactory(RowFactory[User]):
    """A person who is active, is no administrator, and cannot sign in by password unless the test sets one."""

    __model__ = User
    username = Use(lambda: f"user-{UserFactory.__faker__.unique.random_int(10**6, 10**7)}")
    email = None
    hashed_password = "none"
    is_active = True
    is_superuser = False
